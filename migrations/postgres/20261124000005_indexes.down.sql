DROP INDEX users_role_idx;
DROP INDEX users_nickname_idx;

DROP INDEX reviews_rating_idx;
CREATE INDEX reviews_rating_idx ON reviews (gonggu_id, rating);

DROP INDEX gonggus_title_pairs_idx;
DROP FUNCTION letter_pairs(text);

DROP INDEX gonggus_discount_idx;
DROP INDEX gonggus_price_idx;
DROP INDEX gonggus_closing_idx;
DROP INDEX gonggus_opening_idx;
DROP INDEX gonggus_feed_idx;
DROP INDEX gonggus_newest_idx;
CREATE INDEX gonggus_newest_idx ON gonggus (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_feed_idx ON gonggus (influencer_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_opening_idx ON gonggus (open_at, id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_closing_idx ON gonggus (least(close_at, closed_at), id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_price_idx ON gonggus (gonggu_price, id) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_discount_idx ON gonggus (discount_rate, id) WHERE deleted_at IS NULL;
