-- One gonggu that is not deleted, with its owner, its categories and what the asking person made of it: one
-- statement. $1 gonggu; $2 who asks, or NULL. Takes no lock.
SELECT g.id, g.influencer_id, u.nickname, u.profile_image, g.title, g.description,
    g.original_price, g.gonggu_price, g.discount_rate::float8 AS "discount_rate!",
    g.open_at, g.close_at, g.closed_at, g.external_url, g.thumbnail, g.click_count,
    g.created_at, g.updated_at,
    COALESCE((
        SELECT json_agg(json_build_object('id', c.id, 'parent_id', c.parent_id, 'name', c.name, 'icon', c.icon,
                                          'sort_order', c.sort_order) ORDER BY gc.slot)
        FROM gonggu_categories gc JOIN categories c ON c.id = gc.category_id WHERE gc.gonggu_id = g.id
    ), '[]') AS "categories!: Json<Vec<CategoryResponse>>",
    u.status = 'active' AS "is_shown!",
    CASE WHEN $2::uuid IS NOT NULL THEN EXISTS (
        SELECT FROM bookmarks b WHERE b.user_id = $2 AND b.gonggu_id = g.id) END AS bookmarked,
    (SELECT a.minutes_before FROM gonggu_alarms a WHERE a.user_id = $2 AND a.gonggu_id = g.id)
        AS "alarm_minutes_before?"
FROM gonggus g JOIN users u ON u.id = g.influencer_id
WHERE g.id = $1 AND g.deleted_at IS NULL
