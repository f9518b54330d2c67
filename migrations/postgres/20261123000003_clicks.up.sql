-- The click store. No foreign keys: they would be checked row by row on the hottest write of all, and a
-- click outlives the gonggu and the account it names.
CREATE TABLE click_trackings (
    -- the requirement document's columns
    id             uuid NOT NULL,
    gonggu_id      uuid NOT NULL,
    user_id        uuid,
    ip_address     varchar(45) NOT NULL,
    user_agent     text NOT NULL,
    referer        varchar(1000) NOT NULL,
    clicked_at     timestamptz NOT NULL,
    -- what was said of it
    verdict        smallint NOT NULL,
    reason         smallint,
    rules_version  integer NOT NULL,
    -- where it stands in the log
    run            uuid NOT NULL,
    sequence       bigint NOT NULL,
    partition      integer NOT NULL,
    position       bigint NOT NULL,
    -- what the judge's state is rebuilt from
    judged_at      timestamptz NOT NULL,
    user_created_at timestamptz,
    ip_masked      varchar(45) NOT NULL,
    address_hash   bytea NOT NULL,
    network_hash   bytea NOT NULL,
    duplicate_of_position  bigint,
    duplicate_of_judged_at timestamptz,
    took_mark      boolean NOT NULL,
    burst          bytea NOT NULL,
    flag_id        uuid,
    device         smallint NOT NULL,
    visitor        bigint NOT NULL,
    -- the rest of the request's facts, so that the verdict can be checked from the row alone
    opens_at       timestamptz NOT NULL,
    closes_at      timestamptz NOT NULL,
    endpoint       smallint NOT NULL,
    method         smallint NOT NULL,
    origin         smallint NOT NULL,
    request_facts  text[],
    PRIMARY KEY (id, clicked_at)
) PARTITION BY RANGE (clicked_at);
-- judged_at never goes back within a gonggu, so this serves the state's loading; clicked_at <= judged_at,
-- so it serves exports too.
CREATE INDEX click_trackings_gonggu_idx ON click_trackings (gonggu_id, judged_at);

CREATE TABLE click_partitions (
    partition  integer PRIMARY KEY,
    position   bigint NOT NULL,
    run        uuid NOT NULL,
    -- [{"run": "...", "at": millis}]
    marks      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE click_heads (
    gonggu_id       uuid PRIMARY KEY,
    -- billable, duplicate, held, then invalid by reason
    counts          bigint[] NOT NULL,
    visitors        bytea NOT NULL,
    last_judged_at  timestamptz NOT NULL,
    last_clicked_at timestamptz NOT NULL,
    applied_through bigint NOT NULL
) WITH (fillfactor = 70);

-- Rollups by minute (1), hour (2) and Seoul day (3): absolute values.
CREATE TABLE click_rollups (
    gonggu_id uuid NOT NULL,
    level     smallint NOT NULL,
    at        timestamptz NOT NULL,
    counts    bigint[] NOT NULL,
    visitors  bytea NOT NULL,
    referrers jsonb,
    devices   bigint[] NOT NULL,
    PRIMARY KEY (gonggu_id, level, at)
) WITH (fillfactor = 70);

CREATE TABLE click_flags (
    id             uuid PRIMARY KEY,
    gonggu_id      uuid NOT NULL,
    scope          smallint NOT NULL,
    limit_index    smallint NOT NULL,
    address_hash   bytea NOT NULL,
    address_masked varchar(45) NOT NULL,
    window_millis  bigint NOT NULL,
    limit_clicks   integer NOT NULL,
    opened_at      timestamptz NOT NULL,
    last_held_at   timestamptz NOT NULL,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    clicks         bigint NOT NULL,
    visitors       bytea NOT NULL
);
CREATE INDEX click_flags_gonggu_idx ON click_flags (gonggu_id, last_held_at);

CREATE TABLE click_quarantine (
    partition integer NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (partition, position)
);

CREATE TABLE rules_versions (
    version    integer PRIMARY KEY,
    -- SHA-256 of the canonical JSON
    hash       bytea NOT NULL UNIQUE,
    settings   jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE rules_activations (
    partition     integer NOT NULL,
    from_position bigint NOT NULL,
    version       integer NOT NULL REFERENCES rules_versions (version),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, from_position)
);

-- Decisions of admins on stored clicks, never written by the judge. Every figure shown or paid is
-- judged + the sum of these.
CREATE TABLE click_adjustments (
    decision_id  uuid NOT NULL,
    click_id     uuid NOT NULL,
    gonggu_id    uuid NOT NULL,
    clicked_at   timestamptz NOT NULL,
    from_verdict smallint NOT NULL,
    to_verdict   smallint NOT NULL,
    to_reason    smallint,
    decided_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (click_id, decision_id)
);
CREATE INDEX click_adjustments_gonggu_idx ON click_adjustments (gonggu_id, clicked_at);
-- The same as signed differences per rollup row.
CREATE TABLE click_rollup_adjustments (
    decision_id uuid NOT NULL,
    gonggu_id   uuid NOT NULL,
    level       smallint NOT NULL,
    at          timestamptz NOT NULL,
    counts      bigint[] NOT NULL,
    referrers   jsonb,
    devices     bigint[] NOT NULL,
    PRIMARY KEY (gonggu_id, level, at, decision_id)
);

-- Small facts of the deployment, such as the fingerprint of the address key.
CREATE TABLE deployment_facts (
    name  text PRIMARY KEY,
    value text NOT NULL
);
