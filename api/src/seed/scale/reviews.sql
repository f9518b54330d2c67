-- Reviews of the gonggus of numbers $1, so many each as $2 says, by $3 buyers in steps of $4, in the year before $5.
-- Takes no lock but on the new rows. Returns how many are new.
WITH written AS (
    INSERT INTO reviews (id, gonggu_id, user_id, rating, content, created_at, updated_at)
    SELECT ('dec0de00-0004-8000-8000-' || lpad(to_hex(item.number), 6, '0') || lpad(to_hex(buyer), 6, '0'))::uuid,
           ('dec0de00-0003-8000-8000-' || lpad(to_hex(item.number), 12, '0'))::uuid,
           ('dec0de00-0001-8000-8000-' || lpad(to_hex(buyer), 12, '0'))::uuid,
           -- two thirds have five stars
           CASE WHEN place % 3 < 2 THEN 5 ELSE 1 + (place + item.number) % 4 END,
           (ARRAY['배송이 빨라요.', '가격이 좋아서 다시 샀습니다.', '사진과 같습니다.', '포장이 아쉬웠어요.',
                  '가족 모두 만족합니다.'])[1 + (place + item.number) % 5],
           at, at
    FROM unnest($1::int[], $2::int[]) AS item (number, quota)
    CROSS JOIN LATERAL generate_series(0, item.quota::bigint - 1) AS place
    CROSS JOIN LATERAL (
        SELECT (item.number * 7919::bigint + place * $4::bigint) % $3::bigint AS buyer,
               $5::timestamptz - make_interval(secs => (item.number * 104729::bigint + place * 7919) % 31000000) AS at
    ) AS person
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) AS "count!" FROM written
