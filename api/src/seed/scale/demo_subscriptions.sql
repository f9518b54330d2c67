-- $2 subscriptions of the demo buyer $1, to every $3rd influencer, in the year before $4. Locks those influencers'
-- profiles (by the trigger that counts), in key order. Returns how many are new.
WITH written AS (
    INSERT INTO subscriptions (id, buyer_id, influencer_id, created_at)
    SELECT ('dec0de00-0006-8000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $1::uuid,
           ('dec0de00-0002-8000-8000-' || lpad(to_hex(n * $3::int), 12, '0'))::uuid,
           $4::timestamptz - make_interval(secs => n * 7919 % 31000000)
    FROM generate_series(0, $2::bigint - 1) AS n
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) AS "count!" FROM written
