-- All that an answer needs, in one statement: one round trip, one snapshot, no transaction around it.
-- $1 gonggu; $2 to $4 ranges of the series; $5 to $7 ranges of the totals; $8 start and $9 end of all of them.
-- Sketches are most of the bytes. Only the totals need them, and not even those
-- when no click lies outside of the range: then the head's sketch is that of the range.
WITH whole AS MATERIALIZED (
    SELECT head.visitors FROM click_heads head
    WHERE head.gonggu_id = $1 AND head.last_clicked_at < $9
      AND (head.open_minute_at IS NULL OR head.open_minute_at >= $8) AND NOT EXISTS (
        SELECT FROM click_rollups r WHERE r.gonggu_id = $1 AND r.level = 1 AND r.at < $8)
)
SELECT 1::smallint AS "part!", c.at AS "at?: PgMillis", c.counts AS "counts?", NULL::bytea AS "visitors?",
    NULL::text AS "json?", NULL::bigint[] AS "devices?"
FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS r (level, first, beyond)
CROSS JOIN LATERAL (
    SELECT at, counts FROM click_rollups
    WHERE gonggu_id = $1 AND level = r.level AND at >= r.first AND at < r.beyond OFFSET 0
) c
UNION ALL
SELECT 2::smallint, NULL, NULL, c.visitors, c.json, c.devices
FROM unnest($5::smallint[], $6::timestamptz[], $7::timestamptz[]) AS r (level, first, beyond)
CROSS JOIN LATERAL (
    SELECT CASE WHEN NOT EXISTS (SELECT FROM whole) THEN visitors END AS visitors, referrers::text AS json, devices
    FROM click_rollups
    WHERE gonggu_id = $1 AND level = r.level AND at >= r.first AND at < r.beyond OFFSET 0
) c
UNION ALL
SELECT 2::smallint, NULL, NULL, whole.visitors, NULL, NULL FROM whole
UNION ALL
SELECT 3::smallint, a.at, a.counts, NULL, NULL, NULL
FROM unnest($2::smallint[], $3::timestamptz[], $4::timestamptz[]) AS r (level, first, beyond)
JOIN click_rollup_adjustments a ON a.gonggu_id = $1 AND a.level = r.level AND a.at >= r.first AND a.at < r.beyond
UNION ALL
SELECT 2::smallint, NULL, NULL, NULL, a.referrers::text, a.devices
FROM unnest($5::smallint[], $6::timestamptz[], $7::timestamptz[]) AS r (level, first, beyond)
JOIN click_rollup_adjustments a ON a.gonggu_id = $1 AND a.level = r.level AND a.at >= r.first AND a.at < r.beyond
UNION ALL
SELECT 4::smallint, NULL, NULL, NULL, marks::text, NULL FROM click_partitions WHERE position IS NOT NULL
UNION ALL
-- The newest rows, which stand in the head; without their sketches where the head's own is taken.
SELECT CASE WHEN EXISTS (SELECT FROM whole) THEN 6 ELSE 5 END::smallint, NULL, NULL, open, NULL, NULL
FROM click_heads WHERE gonggu_id = $1 AND open IS NOT NULL
