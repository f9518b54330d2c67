-- Indexes for lists of a large catalog; each was seen in a plan on 100,000 gonggus (benches/README.md has the figures).

-- Totals and deep pages read no rows: what decides whether a gonggu is listed, and its status, stands in the index.
-- click_count does not, in none of them: it changes every second on a busy gonggu, and such a change stays within
-- its page only while no index holds the column.
DROP INDEX gonggus_newest_idx;
DROP INDEX gonggus_feed_idx;
DROP INDEX gonggus_opening_idx;
DROP INDEX gonggus_closing_idx;
DROP INDEX gonggus_price_idx;
DROP INDEX gonggus_discount_idx;
CREATE INDEX gonggus_newest_idx ON gonggus (created_at, id)
    INCLUDE (influencer_id, open_at, close_at, closed_at) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_feed_idx ON gonggus (influencer_id, created_at DESC, id DESC)
    INCLUDE (open_at, close_at, closed_at) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_opening_idx ON gonggus (open_at, id)
    INCLUDE (influencer_id, close_at, closed_at) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_closing_idx ON gonggus (least(close_at, closed_at), id)
    INCLUDE (influencer_id, open_at, close_at, closed_at) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_price_idx ON gonggus (gonggu_price, id)
    INCLUDE (influencer_id, open_at, close_at, closed_at) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_discount_idx ON gonggus (discount_rate, id)
    INCLUDE (influencer_id, open_at, close_at, closed_at) WHERE deleted_at IS NULL;

-- Part of a title. Pairs of letters, since two syllables are a Korean word; three, as pg_trgm has them, are more than
-- most people type.
CREATE FUNCTION letter_pairs(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN
    ARRAY(SELECT DISTINCT substr(lower(given), place, 2) FROM generate_series(1, length(given) - 1) AS place);
CREATE INDEX gonggus_title_pairs_idx ON gonggus USING gin (letter_pairs(title)) WHERE deleted_at IS NULL;

-- The average still reads it alone, and so does a page sorted by rating.
DROP INDEX reviews_rating_idx;
CREATE INDEX reviews_rating_idx ON reviews (gonggu_id, rating, created_at, id);

-- Lists of accounts for admins.
CREATE INDEX users_nickname_idx ON users (nickname, id);
CREATE INDEX users_role_idx ON users (role, created_at DESC, id DESC);
