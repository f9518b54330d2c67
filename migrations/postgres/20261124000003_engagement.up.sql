-- Subscriptions, bookmarks, open alarms and reviews (requirement document 3.6, 3.8), an influencer's application,
-- and the indexes that lists are read by.

-- Where an application stands. Pending itself is users.status: the right and its lack live in one place.
ALTER TABLE influencer_profiles
    ADD COLUMN applied_at     timestamptz,
    ADD COLUMN decided_at     timestamptz,
    -- why it was refused; gone with the next application
    ADD COLUMN refusal_reason varchar(500);

CREATE TABLE subscriptions (
    id             uuid PRIMARY KEY,
    buyer_id       uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    influencer_id  uuid NOT NULL REFERENCES influencer_profiles (user_id) ON DELETE CASCADE,
    notify_enabled boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT subscriptions_pair_key UNIQUE (buyer_id, influencer_id),
    CONSTRAINT subscriptions_not_oneself CHECK (buyer_id <> influencer_id)
);
-- one's own, newest first
CREATE INDEX subscriptions_buyer_idx ON subscriptions (buyer_id, created_at DESC, id DESC);
-- whom to tell of a new gonggu
CREATE INDEX subscriptions_influencer_idx ON subscriptions (influencer_id, buyer_id) WHERE notify_enabled;

-- subscriber_count follows the rows, whoever writes them: a call, a closing account, demo data. Once a statement,
-- by what really changed. Profiles are locked in key order, and not against the foreign key's check of
-- another subscriber, who holds the same row for that: with FOR UPDATE two of them would wait for each other.
CREATE FUNCTION count_subscriptions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM influencer_profiles WHERE user_id IN (SELECT influencer_id FROM changed)
        ORDER BY user_id FOR NO KEY UPDATE;
    UPDATE influencer_profiles profile
        SET subscriber_count = profile.subscriber_count + (CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END) * counted.pairs
        FROM (SELECT influencer_id, count(*)::integer AS pairs FROM changed GROUP BY influencer_id) counted
        WHERE profile.user_id = counted.influencer_id;
    RETURN NULL;
END $$;
CREATE TRIGGER subscriptions_added AFTER INSERT ON subscriptions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_subscriptions();
CREATE TRIGGER subscriptions_removed AFTER DELETE ON subscriptions REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_subscriptions();

CREATE TABLE bookmarks (
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    gonggu_id  uuid NOT NULL REFERENCES gonggus (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, gonggu_id)
);
CREATE INDEX bookmarks_newest_idx ON bookmarks (user_id, created_at DESC, gonggu_id DESC);
-- whom to tell that it closes soon
CREATE INDEX bookmarks_gonggu_idx ON bookmarks (gonggu_id, user_id);

-- "Tell me N minutes before it opens."
CREATE TABLE gonggu_alarms (
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    gonggu_id      uuid NOT NULL REFERENCES gonggus (id) ON DELETE CASCADE,
    minutes_before integer NOT NULL CHECK (minutes_before BETWEEN 0 AND 10080),
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, gonggu_id)
);
CREATE INDEX gonggu_alarms_gonggu_idx ON gonggu_alarms (gonggu_id, minutes_before);

CREATE TABLE reviews (
    id         uuid PRIMARY KEY,
    gonggu_id  uuid NOT NULL REFERENCES gonggus (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    rating     smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
    content    text NOT NULL,
    images     jsonb NOT NULL DEFAULT '[]'
               CHECK (jsonb_typeof(images) = 'array' AND jsonb_array_length(images) <= 10),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reviews_one_each UNIQUE (gonggu_id, user_id)
);
CREATE INDEX reviews_newest_idx ON reviews (gonggu_id, created_at DESC, id DESC);
-- a gonggu's average is read from this index alone
CREATE INDEX reviews_rating_idx ON reviews (gonggu_id, rating);
CREATE INDEX reviews_user_idx ON reviews (user_id);

-- Two levels, said declaratively, so that no two writers at once can make a third: a parent is a category that is no
-- child itself.
ALTER TABLE categories
    ADD COLUMN is_child        boolean NOT NULL GENERATED ALWAYS AS (parent_id IS NOT NULL) STORED,
    ADD COLUMN parent_is_child boolean GENERATED ALWAYS AS (CASE WHEN parent_id IS NULL THEN NULL ELSE false END) STORED,
    ADD CONSTRAINT categories_level_key UNIQUE (id, is_child),
    ADD CONSTRAINT categories_two_levels FOREIGN KEY (parent_id, parent_is_child)
        REFERENCES categories (id, is_child);
CREATE INDEX categories_parent_idx ON categories (parent_id, sort_order, name);

-- Lists. The id makes each order whole, so that a page is read from the index and not sorted.
DROP INDEX gonggus_created_idx;
DROP INDEX gonggus_influencer_idx;
CREATE INDEX gonggus_newest_idx ON gonggus (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_feed_idx ON gonggus (influencer_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_opening_idx ON gonggus (open_at, id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_closing_idx ON gonggus (least(close_at, closed_at), id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_price_idx ON gonggus (gonggu_price, id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_discount_idx ON gonggus (discount_rate, id) WHERE deleted_at IS NULL;
-- None by click_count: it changes every second on a busy gonggu, and an index on it would make each such change
-- write to all the others too.

-- Whose gonggus are not listed: few, so a list asks this instead of joining all accounts.
CREATE INDEX users_not_active_idx ON users (id) WHERE status <> 'active';
CREATE INDEX influencer_profiles_popular_idx ON influencer_profiles (subscriber_count, user_id) WHERE is_verified;
