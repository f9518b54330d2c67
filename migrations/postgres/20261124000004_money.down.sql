DROP INDEX users_created_idx;
DROP TABLE user_suspensions, audit_log, idempotency_keys, banners, coupon_redemptions, coupons, point_entries,
    point_balances;
DROP FUNCTION refuse_rewriting;
