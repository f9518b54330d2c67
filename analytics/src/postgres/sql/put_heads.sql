-- Heads as absolute values, in the order of the keys given (sorted by the caller: one lock order for all).
-- $1 ids, $2 counts (nine each, flat), $3 visitors, $4 last_judged_at, $5 last_clicked_at, $6 applied_through
INSERT INTO click_heads AS head (gonggu_id, counts, visitors, last_judged_at, last_clicked_at, applied_through)
SELECT r.gonggu_id, ($2::bigint[])[(r.n * 9 - 8)::integer : (r.n * 9)::integer],
       r.visitors, r.last_judged_at, r.last_clicked_at, r.applied_through
FROM unnest($1::uuid[], $3::bytea[], $4::timestamptz[], $5::timestamptz[], $6::bigint[])
     WITH ORDINALITY AS r (gonggu_id, visitors, last_judged_at, last_clicked_at, applied_through, n)
ON CONFLICT (gonggu_id) DO UPDATE
SET counts = excluded.counts, visitors = excluded.visitors, last_judged_at = excluded.last_judged_at,
    last_clicked_at = excluded.last_clicked_at, applied_through = excluded.applied_through
