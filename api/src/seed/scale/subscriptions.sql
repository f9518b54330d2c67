-- Subscriptions to the influencers of numbers $1, so many each as $2 says, of $3 buyers in steps of $4, in the year
-- before $5. Locks those influencers' profiles (by the trigger that counts), in key order. Returns how many are new.
WITH written AS (
    INSERT INTO subscriptions (id, buyer_id, influencer_id, notify_enabled, created_at)
    SELECT ('dec0de00-0005-8000-8000-' || lpad(to_hex(item.number), 6, '0') || lpad(to_hex(buyer), 6, '0'))::uuid,
           ('dec0de00-0001-8000-8000-' || lpad(to_hex(buyer), 12, '0'))::uuid,
           ('dec0de00-0002-8000-8000-' || lpad(to_hex(item.number), 12, '0'))::uuid,
           buyer % 10 > 0,
           $5::timestamptz - make_interval(secs => (item.number * 104729::bigint + place * 7919) % 31000000)
    FROM unnest($1::int[], $2::int[]) AS item (number, quota)
    CROSS JOIN LATERAL generate_series(0, item.quota::bigint - 1) AS place
    CROSS JOIN LATERAL (SELECT (item.number * 7919::bigint + place * $4::bigint) % $3::bigint AS buyer) AS person
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) AS "count!" FROM written
