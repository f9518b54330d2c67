-- Gonggus and categories (requirement document 3.3 to 3.5).
CREATE TYPE gonggu_status AS ENUM ('scheduled', 'active', 'closed');

CREATE TABLE categories (
    id         uuid PRIMARY KEY,
    parent_id  uuid REFERENCES categories (id),
    name       varchar(50) NOT NULL,
    icon       varchar(500),
    sort_order integer NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX categories_name_key ON categories (parent_id, name) NULLS NOT DISTINCT;

CREATE TABLE gonggus (
    id             uuid PRIMARY KEY,
    influencer_id  uuid NOT NULL REFERENCES users (id),
    title          varchar(200) NOT NULL,
    description    text NOT NULL DEFAULT '',
    original_price integer NOT NULL CHECK (original_price > 0),
    gonggu_price   integer NOT NULL CHECK (gonggu_price > 0),
    -- percent, computed: never typed in, never out of step with the prices
    discount_rate  numeric(5, 2) NOT NULL GENERATED ALWAYS AS
        (round((original_price - gonggu_price) * 100.0 / original_price, 2)) STORED,
    open_at        timestamptz NOT NULL,
    close_at       timestamptz NOT NULL,
    -- an early close; the catalog's own close_at stays
    closed_at      timestamptz,
    external_url   varchar(1000) NOT NULL,
    thumbnail      varchar(500),
    -- billable clicks; follows the click store
    click_count    bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    deleted_at     timestamptz,
    CONSTRAINT gonggus_price_order CHECK (gonggu_price <= original_price),
    CONSTRAINT gonggus_time_order CHECK (open_at < close_at)
);
CREATE INDEX gonggus_influencer_idx ON gonggus (influencer_id, created_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_created_idx ON gonggus (created_at DESC, id) WHERE deleted_at IS NULL;

-- The document's status column, as a function of time: the one place in SQL that knows it.
CREATE FUNCTION gonggu_status_at(open_at timestamptz, close_at timestamptz, closed_at timestamptz, at timestamptz)
RETURNS gonggu_status LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN at >= least(close_at, closed_at) THEN 'closed'::gonggu_status
         WHEN at < open_at THEN 'scheduled'::gonggu_status
         ELSE 'active'::gonggu_status END;

CREATE TABLE gonggu_categories (
    gonggu_id   uuid NOT NULL REFERENCES gonggus (id) ON DELETE CASCADE,
    category_id uuid NOT NULL REFERENCES categories (id),
    -- 1 or 2: at most two categories a gonggu, held by the key itself
    slot        smallint NOT NULL CHECK (slot IN (1, 2)),
    PRIMARY KEY (gonggu_id, slot),
    UNIQUE (gonggu_id, category_id)
);
CREATE INDEX gonggu_categories_category_idx ON gonggu_categories (category_id, gonggu_id);

-- Every change of what a redirect depends on tells all edges which gonggu (or whose) to read again.
CREATE FUNCTION notify_link_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('link_changed', 'g:' || COALESCE(NEW.id, OLD.id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER gonggus_link_written AFTER INSERT OR DELETE ON gonggus
    FOR EACH ROW EXECUTE FUNCTION notify_link_changed();
CREATE TRIGGER gonggus_link_changed AFTER UPDATE ON gonggus
    FOR EACH ROW WHEN ((OLD.influencer_id, OLD.open_at, OLD.close_at, OLD.closed_at, OLD.external_url, OLD.deleted_at)
        IS DISTINCT FROM (NEW.influencer_id, NEW.open_at, NEW.close_at, NEW.closed_at, NEW.external_url, NEW.deleted_at))
    EXECUTE FUNCTION notify_link_changed();

CREATE FUNCTION notify_owner_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('link_changed', 'u:' || NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER users_status_changed AFTER UPDATE ON users
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION notify_owner_changed();
