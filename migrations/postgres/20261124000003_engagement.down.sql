DROP INDEX influencer_profiles_popular_idx;
DROP INDEX users_not_active_idx;
DROP INDEX gonggus_discount_idx;
DROP INDEX gonggus_price_idx;
DROP INDEX gonggus_closing_idx;
DROP INDEX gonggus_opening_idx;
DROP INDEX gonggus_feed_idx;
DROP INDEX gonggus_newest_idx;
CREATE INDEX gonggus_influencer_idx ON gonggus (influencer_id, created_at DESC) WHERE deleted_at IS NULL;
CREATE INDEX gonggus_created_idx ON gonggus (created_at DESC, id) WHERE deleted_at IS NULL;
DROP INDEX categories_parent_idx;
ALTER TABLE categories
    DROP CONSTRAINT categories_two_levels,
    DROP CONSTRAINT categories_level_key,
    DROP COLUMN parent_is_child,
    DROP COLUMN is_child;
DROP TABLE reviews;
DROP TABLE gonggu_alarms;
DROP TABLE bookmarks;
DROP TABLE subscriptions;
DROP FUNCTION count_subscriptions();
ALTER TABLE influencer_profiles
    DROP COLUMN refusal_reason,
    DROP COLUMN decided_at,
    DROP COLUMN applied_at;
