-- Points, coupons, banners, what was done by admins, and answers kept for repeated requests.

-- One row an account: what it has now. Its lock orders the account's changes.
CREATE TABLE point_balances (
    user_id    uuid PRIMARY KEY REFERENCES users (id),
    balance    bigint NOT NULL DEFAULT 0,
    -- how many entries made it: the number of the last one
    entries    bigint NOT NULL DEFAULT 0 CHECK (entries >= 0),
    updated_at timestamptz NOT NULL,
    CONSTRAINT point_balances_not_negative CHECK (balance >= 0)
);

-- The ledger: a balance is the sum of its entries, and each entry says what the balance was after it.
CREATE TABLE point_entries (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users (id),
    -- 1, 2, 3 … within the account, without gaps: the order in which they took effect
    number        bigint NOT NULL CHECK (number > 0),
    amount        bigint NOT NULL CHECK (amount <> 0),
    balance_after bigint NOT NULL CHECK (balance_after >= 0),
    reason        varchar(200) NOT NULL,
    -- what it comes from ('admin', 'coupon'), so that one cause can never have two effects
    source_kind   varchar(20) NOT NULL,
    source_id     uuid NOT NULL,
    created_at    timestamptz NOT NULL,
    -- who did it: an admin, or the account itself
    created_by    uuid NOT NULL REFERENCES users (id),
    CONSTRAINT point_entries_source_key UNIQUE (source_kind, source_id),
    CONSTRAINT point_entries_number_key UNIQUE (user_id, number)
);

CREATE TABLE coupons (
    id             uuid PRIMARY KEY,
    -- as typed in, NFC
    code           varchar(40) NOT NULL,
    -- the same in lower case: what is looked up. Made by the program, since the database's own lower()
    -- depends on its locale
    code_key       varchar(80) NOT NULL,
    name           varchar(100) NOT NULL,
    points         integer NOT NULL CHECK (points > 0),
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL,
    -- how many people may redeem it; NULL: everybody
    total_limit    integer CHECK (total_limit > 0),
    redeemed_count integer NOT NULL DEFAULT 0 CHECK (redeemed_count >= 0),
    active         boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- deleted ones stay for those who redeemed them
    deleted_at     timestamptz,
    CONSTRAINT coupons_time_order CHECK (starts_at < ends_at),
    CONSTRAINT coupons_within_limit CHECK (redeemed_count <= total_limit)
);
CREATE UNIQUE INDEX coupons_code_key ON coupons (code_key) WHERE deleted_at IS NULL;
CREATE INDEX coupons_created_idx ON coupons (created_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE coupon_redemptions (
    id             uuid PRIMARY KEY,
    coupon_id      uuid NOT NULL REFERENCES coupons (id),
    user_id        uuid NOT NULL REFERENCES users (id),
    points         integer NOT NULL CHECK (points > 0),
    redeemed_at    timestamptz NOT NULL,
    CONSTRAINT coupon_redemptions_once UNIQUE (coupon_id, user_id)
);
CREATE INDEX coupon_redemptions_user_idx ON coupon_redemptions (user_id, redeemed_at DESC, id DESC);

CREATE TABLE banners (
    id         uuid PRIMARY KEY,
    -- where it is shown
    slot       varchar(40) NOT NULL,
    image_url  varchar(500) NOT NULL,
    link_url   varchar(1000),
    sort_order integer NOT NULL,
    -- NULL: since ever, for ever
    starts_at  timestamptz,
    ends_at    timestamptz,
    active     boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT banners_time_order CHECK (starts_at < ends_at)
);
CREATE INDEX banners_slot_idx ON banners (slot, sort_order, id);

-- Answers to requests that carried an Idempotency-Key, written with their effect, kept for a day.
CREATE TABLE idempotency_keys (
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    route        varchar(100) NOT NULL,
    key          varchar(255) NOT NULL,
    request_hash bytea NOT NULL,
    status       smallint NOT NULL,
    -- the answer's own bytes: text, since jsonb would reorder keys
    body         text NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, route, key)
);
CREATE INDEX idempotency_keys_age_idx ON idempotency_keys (created_at);

-- Who did what, when, to what. No foreign key: an entry outlives whatever it names. No addresses.
CREATE TABLE audit_log (
    id          uuid PRIMARY KEY,
    at          timestamptz NOT NULL,
    actor_id    uuid NOT NULL,
    action      varchar(60) NOT NULL,
    target_type varchar(40) NOT NULL,
    target_id   varchar(100) NOT NULL,
    details     jsonb NOT NULL
);
CREATE INDEX audit_log_at_idx ON audit_log (at DESC, id DESC);
CREATE INDEX audit_log_actor_idx ON audit_log (actor_id, at DESC, id DESC);
CREATE INDEX audit_log_action_idx ON audit_log (action, at DESC, id DESC);

-- While an account is suspended: why, and what it was before.
CREATE TABLE user_suspensions (
    user_id         uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    reason          varchar(500) NOT NULL,
    previous_status user_status NOT NULL CHECK (previous_status <> 'suspended'),
    suspended_at    timestamptz NOT NULL,
    suspended_by    uuid NOT NULL
);

-- Lists of accounts for admins, newest first.
CREATE INDEX users_created_idx ON users (created_at DESC, id DESC);

-- Ledger and log are only ever added to.
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER point_entries_only_added BEFORE UPDATE OR DELETE ON point_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER audit_log_only_added BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
