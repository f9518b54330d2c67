-- Heads as absolute values, in the order of the keys given (sorted by the caller: one lock order for all).
-- $1 ids, $2 counts (nine each, flat), $3 visitors, $4 last_judged_at, $5 last_clicked_at, $6 applied_through,
-- $7 open rows, packed, $8 the start of the open minute
INSERT INTO click_heads AS head (gonggu_id, counts, visitors, last_judged_at, last_clicked_at, applied_through, open,
    open_minute_at)
SELECT r.gonggu_id, ($2::bigint[])[(r.n * 9 - 8)::integer : (r.n * 9)::integer],
       r.visitors, r.last_judged_at, r.last_clicked_at, r.applied_through, r.open, r.open_minute_at
FROM unnest($1::uuid[], $3::bytea[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::bytea[], $8::timestamptz[])
     WITH ORDINALITY AS r (gonggu_id, visitors, last_judged_at, last_clicked_at, applied_through, open,
                           open_minute_at, n)
ON CONFLICT (gonggu_id) DO UPDATE
SET counts = excluded.counts, visitors = excluded.visitors, last_judged_at = excluded.last_judged_at,
    last_clicked_at = excluded.last_clicked_at, applied_through = excluded.applied_through, open = excluded.open,
    open_minute_at = excluded.open_minute_at
