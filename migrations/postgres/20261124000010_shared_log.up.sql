-- A log that several machines share: its lives, and the edges that will not come back.

-- One row a life of the log. A topic made anew, or another cluster, begins the next one, so that its places
-- are never mistaken for those of the one before.
CREATE TABLE log_epochs (
    epoch      integer PRIMARY KEY CHECK (epoch BETWEEN 1 AND 32767),
    history    uuid NOT NULL UNIQUE,
    cluster_id text NOT NULL,
    topic      text NOT NULL,
    partitions integer NOT NULL CHECK (partitions > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Runs of edges that are gone for good: figures no longer wait for them.
CREATE TABLE retired_runs (
    run        uuid PRIMARY KEY,
    retired_at timestamptz NOT NULL DEFAULT now()
);
