-- The click store. No foreign keys: they would be checked row by row on the hottest write of all, and a
-- click outlives the gonggu and the account it names.
CREATE TABLE click_trackings (
    -- Fixed-width columns first, the widest before the narrower: no padding, some 40 bytes a row less.
    id             uuid NOT NULL,
    gonggu_id      uuid NOT NULL,
    -- where it stands in the log
    run            uuid NOT NULL,
    clicked_at     timestamptz NOT NULL,
    -- what the judge's state is rebuilt from (with those below)
    judged_at      timestamptz NOT NULL,
    -- the link as the edge knew it; -infinity and infinity stand for "ever"
    opens_at       timestamptz NOT NULL,
    closes_at      timestamptz NOT NULL,
    sequence       bigint NOT NULL,
    position       bigint NOT NULL,
    visitor        bigint NOT NULL,
    partition      integer NOT NULL,
    rules_version  integer NOT NULL,
    -- codes: see analytics/src/postgres/codes.rs
    verdict        smallint NOT NULL,
    reason         smallint,
    device         smallint NOT NULL,
    endpoint       smallint NOT NULL,
    method         smallint NOT NULL,
    origin         smallint NOT NULL,
    took_mark      boolean NOT NULL,
    user_id        uuid,
    user_created_at timestamptz,
    duplicate_of_position  bigint,
    duplicate_of_judged_at timestamptz,
    flag_id        uuid,
    address_hash   bytea NOT NULL,
    network_hash   bytea NOT NULL,
    burst          bytea NOT NULL,
    -- raw until IP_RETENTION_DAYS have passed, then the same as ip_masked
    ip_address     varchar(45) NOT NULL,
    ip_masked      varchar(45) NOT NULL,
    user_agent     text NOT NULL,
    referer        varchar(1000) NOT NULL,
    -- purpose, Sec-Fetch-Site, -Mode, -Dest, -User, one a line; NULL when all are empty
    request_facts  text,
    PRIMARY KEY (id, clicked_at)
) PARTITION BY RANGE (clicked_at);
-- Serves exports, and the loading of a gonggu's state: a click is in the window when clicked_at is (then
-- judged_at, never earlier, is too) ...
CREATE INDEX click_trackings_gonggu_idx ON click_trackings (gonggu_id, clicked_at);
-- ... or when it came late and was judged at the gonggu's own later time. Almost always empty.
CREATE INDEX click_trackings_late_idx ON click_trackings (gonggu_id, judged_at) WHERE judged_at > clicked_at;
-- Rows lie in the order of time; serves the passes that mask and drop old ones, at nearly no cost.
CREATE INDEX click_trackings_time_idx ON click_trackings USING brin (clicked_at);

CREATE TABLE click_partitions (
    partition  integer PRIMARY KEY,
    position   bigint NOT NULL,
    run        uuid NOT NULL,
    -- [{"run": "...", "at": millis}]
    marks      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Pages of heads and rollups are filled by half: a batch may touch every row of a page, and a new version that
-- finds room beside the old one needs no index entry.
CREATE TABLE click_heads (
    gonggu_id       uuid PRIMARY KEY,
    -- billable, duplicate, held, then invalid by reason
    counts          bigint[] NOT NULL,
    visitors        bytea NOT NULL,
    last_judged_at  timestamptz NOT NULL,
    last_clicked_at timestamptz NOT NULL,
    applied_through bigint NOT NULL
) WITH (fillfactor = 50, toast_tuple_target = 8160);

-- A sketch is up to 2.5 KB and is written anew with every batch. In a TOAST table that is rows and index entries
-- deleted and made each time: six times the work of a row that keeps it. So rows hold theirs, uncompressed.
ALTER TABLE click_heads ALTER COLUMN visitors SET STORAGE MAIN;

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
) WITH (fillfactor = 50, toast_tuple_target = 8160);
ALTER TABLE click_rollups ALTER COLUMN visitors SET STORAGE MAIN;

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
