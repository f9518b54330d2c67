-- Openings and closings of a time, by day of Seoul, the first $3 of each day whole and the others counted. $1 start
-- (inclusive) and $2 end (exclusive), both midnights of Seoul. Takes no lock.
WITH events AS (
    -- what was closed before its opening never opens; each half is read from an index alone
    SELECT g.id, true AS is_opening, g.open_at AS at
    FROM gonggus g
    WHERE g.deleted_at IS NULL AND g.open_at >= $1 AND g.open_at < $2
        AND g.open_at < least(g.close_at, g.closed_at)
        AND NOT EXISTS (SELECT FROM users hidden WHERE hidden.id = g.influencer_id AND hidden.status <> 'active')
    UNION ALL
    SELECT g.id, false, least(g.close_at, g.closed_at)
    FROM gonggus g
    WHERE g.deleted_at IS NULL
        AND least(g.close_at, g.closed_at) >= $1 AND least(g.close_at, g.closed_at) < $2
        AND NOT EXISTS (SELECT FROM users hidden WHERE hidden.id = g.influencer_id AND hidden.status <> 'active')
), numbered AS (
    SELECT id, is_opening, at, (at AT TIME ZONE 'Asia/Seoul')::date AS day,
        row_number() OVER one_day AS place,
        count(*) OVER (PARTITION BY is_opening, (at AT TIME ZONE 'Asia/Seoul')::date) AS total
    FROM events
    WINDOW one_day AS (PARTITION BY is_opening, (at AT TIME ZONE 'Asia/Seoul')::date ORDER BY at, id)
)
SELECT n.day AS "day!", n.is_opening AS "is_opening!", n.total AS "total!",
    g.id, g.title, g.thumbnail, g.influencer_id, u.nickname, u.profile_image,
    g.original_price, g.gonggu_price, g.discount_rate::float8 AS "discount_rate!",
    g.open_at, g.close_at, g.closed_at
FROM numbered n JOIN gonggus g ON g.id = n.id JOIN users u ON u.id = g.influencer_id
WHERE n.place <= $3
ORDER BY n.day, n.is_opening DESC, n.place
