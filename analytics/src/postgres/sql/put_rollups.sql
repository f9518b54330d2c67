-- Rollup rows as absolute values, in the order of the keys given (sorted by the caller).
-- $1 ids, $2 counts (nine each, flat), $3 devices (four each, flat), $4 levels, $5 at, $6 visitors, $7 referrers
INSERT INTO click_rollups AS rollup (gonggu_id, level, at, counts, visitors, referrers, devices)
SELECT r.gonggu_id, r.level, r.at, ($2::bigint[])[(r.n * 9 - 8)::integer : (r.n * 9)::integer],
       r.visitors, r.referrers::jsonb, ($3::bigint[])[(r.n * 4 - 3)::integer : (r.n * 4)::integer]
FROM unnest($1::uuid[], $4::smallint[], $5::timestamptz[], $6::bytea[], $7::text[])
     WITH ORDINALITY AS r (gonggu_id, level, at, visitors, referrers, n)
ON CONFLICT (gonggu_id, level, at) DO UPDATE
SET counts = excluded.counts, visitors = excluded.visitors, referrers = excluded.referrers,
    devices = excluded.devices
