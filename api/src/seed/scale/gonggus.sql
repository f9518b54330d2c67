-- Gonggus $1 to $2 (exclusive) of the first $4 influencers, with one or two of the categories $5; their times stand
-- round $3. Locks only the new rows; each tells the edges of itself. Returns how many are new.
WITH drawn AS (
    -- three numbers in [0, 1) that look like chance and are always the same
    SELECT n, n::bigint * 7919 % 100 AS phase,
           n::bigint * 48271 % 65537 / 65537.0 AS x, n::bigint * 40503 % 32749 / 32749.0 AS y,
           n::bigint * 69621 % 16381 / 16381.0 AS z
    FROM generate_series($1::int, $2::int - 1) AS n
), opening AS (
    SELECT drawn.*, $3::timestamptz + make_interval(secs => CASE
               WHEN phase < 70 THEN -86400 * (15 + x * 700)
               WHEN phase < 90 THEN -60 - 86400 * x * 7
               ELSE 600 + 86400 * x * 30 END) AS open_at
    FROM drawn
), made AS (
    SELECT opening.*, ('dec0de00-0003-8000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
           CASE WHEN phase BETWEEN 70 AND 89 THEN $3 + make_interval(secs => 600 + 86400 * y * 14)
                ELSE open_at + make_interval(secs => 86400 * (1 + y * 13)) END AS close_at,
           10000 + n::bigint * 7919 % 900 * 100 AS original_price
    FROM opening
), written AS (
    INSERT INTO gonggus (id, influencer_id, title, description, original_price, gonggu_price, open_at, close_at,
                         closed_at, external_url, thumbnail, created_at, updated_at, deleted_at)
    SELECT id,
           -- the square: the first own far more than the last
           ('dec0de00-0002-8000-8000-' || lpad(to_hex(floor($4::int * x * x)::int), 12, '0'))::uuid,
           (ARRAY['제주', '유기농', '국내산', '무항생제', '저자극', '친환경', '프리미엄', '데일리', '휴대용', '대용량',
                  '무선', '여름'])[1 + n % 12]
               || ' ' || (ARRAY['감귤', '물티슈', '수분 크림', '곰탕', '텐트', '사료', '홍삼 스틱', '커튼', '크로스백',
                                '요가 매트', '티셔츠', '원목 블록', '냄비 세트', '블루베리', '샴푸', '이불', '의자',
                                '칫솔', '운동화', '간식'])[1 + n * 13 % 17 + n % 4]
               || ' ' || n,
           '규모 시험을 위한 공구입니다. 구성과 배송은 상점의 안내를 따릅니다.',
           original_price, greatest(1, original_price * (50 + n::bigint * 31 % 50) / 100), open_at, close_at,
           CASE WHEN phase < 70 AND n % 50 = 0 THEN open_at + (close_at - open_at) / 2 END,
           'https://example.com/scale/' || n,
           'https://example.com/scale/' || n || '.webp',
           least($3, open_at - make_interval(secs => 3600 + 86400 * z * 10)),
           least($3, open_at - make_interval(secs => 3600 + 86400 * z * 10)),
           CASE WHEN n % 200 = 137 THEN $3 END
    FROM made
    ON CONFLICT DO NOTHING RETURNING id
), categorised AS (
    INSERT INTO gonggu_categories (gonggu_id, category_id, slot)
    SELECT made.id, ($5::uuid[])[1 + (made.n::bigint * 31 + slot * 5) % cardinality($5)], slot
    FROM made JOIN written USING (id) CROSS JOIN LATERAL generate_series(1, 1 + made.n % 2) AS slot
    WHERE cardinality($5) > 5
)
SELECT count(*) AS "count!" FROM written
