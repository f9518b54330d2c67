-- $2 bookmarks of the demo buyer $1, of every $3rd gonggu, in the year before $4. Takes no lock but on the new rows.
-- Returns how many are new.
WITH written AS (
    INSERT INTO bookmarks (user_id, gonggu_id, created_at)
    SELECT $1::uuid, ('dec0de00-0003-8000-8000-' || lpad(to_hex(n * $3::int), 12, '0'))::uuid,
           $4::timestamptz - make_interval(secs => n * 7919 % 31000000)
    FROM generate_series(0, $2::bigint - 1) AS n
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) AS "count!" FROM written
