-- Influencers $1 to $2 (exclusive), with their profiles. Those from $4 on wait for approval; of every $5 one is
-- suspended, by $6. Locks only the new rows. Returns how many are new.
WITH made AS (
    SELECT n, ('dec0de00-0002-8000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
           CASE WHEN n >= $4::int THEN 'pending' WHEN n % $5::int = $5 - 1 THEN 'suspended' ELSE 'active' END::user_status
               AS status,
           $3::timestamptz - make_interval(secs => 864000 + n::bigint * 7919 % 63000000) AS created_at
    FROM generate_series($1::int, $2::int - 1) AS n
), written AS (
    INSERT INTO users (id, email, email_folded, nickname, role, status, created_at)
    SELECT id, 'scale-influencer-' || n || '@gonggumoa.example', 'scale-influencer-' || n || '@gonggumoa.example',
           '인플루언서 ' || n, 'influencer', status, created_at
    FROM made
    ON CONFLICT DO NOTHING RETURNING id
), profiles AS (
    INSERT INTO influencer_profiles (id, user_id, bio, is_verified, applied_at, decided_at)
    SELECT made.id, made.id, '규모 시험을 위한 소개입니다.', made.status <> 'pending', made.created_at,
           CASE WHEN made.status <> 'pending' THEN made.created_at + interval '1 day' END
    FROM made JOIN written USING (id)
), suspensions AS (
    INSERT INTO user_suspensions (user_id, reason, previous_status, suspended_at, suspended_by)
    SELECT made.id, '규모 시험을 위한 정지', 'active', $3, $6::uuid
    FROM made JOIN written USING (id) WHERE made.status = 'suspended'
)
SELECT count(*) AS "count!" FROM written
