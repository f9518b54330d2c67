-- One verified, active influencer with his gonggus by status at $3, and whether $2 (or NULL) subscribes: one
-- statement. Takes no lock.
SELECT u.id, u.nickname, u.profile_image, u.created_at, p.bio, p.banner_image, p.instagram_url, p.tiktok_url,
    p.is_verified, p.subscriber_count,
    counted.scheduled AS "scheduled!", counted.active AS "active!", counted.closed AS "closed!",
    CASE WHEN $2::uuid IS NOT NULL THEN EXISTS (
        SELECT FROM subscriptions s WHERE s.buyer_id = $2 AND s.influencer_id = u.id) END AS subscribed
FROM users u JOIN influencer_profiles p ON p.user_id = u.id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE at.status = 'scheduled') AS scheduled,
        count(*) FILTER (WHERE at.status = 'active') AS active,
        count(*) FILTER (WHERE at.status = 'closed') AS closed
    FROM gonggus g
    CROSS JOIN LATERAL (SELECT gonggu_status_at(g.open_at, g.close_at, g.closed_at, $3) AS status) at
    WHERE g.influencer_id = u.id AND g.deleted_at IS NULL
) counted
WHERE u.id = $1 AND u.role = 'influencer' AND u.status = 'active' AND p.is_verified
