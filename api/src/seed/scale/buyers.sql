-- Buyers $1 to $2 (exclusive), accounts of the two years before $3. Locks only the new rows. Returns how many are new.
WITH written AS (
    INSERT INTO users (id, email, email_folded, nickname, role, created_at)
    SELECT ('dec0de00-0001-8000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
           'scale-buyer-' || n || '@gonggumoa.example', 'scale-buyer-' || n || '@gonggumoa.example',
           '구매자 ' || n, 'buyer',
           $3::timestamptz - make_interval(secs => 86400 + n::bigint * 7919 % 63000000)
    FROM generate_series($1::int, $2::int - 1) AS n
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) AS "count!" FROM written
