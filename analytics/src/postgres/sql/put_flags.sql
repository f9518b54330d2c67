-- Flags as absolute values, in the order of the ids given (sorted by the caller); the larger last_position
-- wins. What never changes of a flag is not written again.
INSERT INTO click_flags AS flag (id, gonggu_id, scope, limit_index, address_hash, address_masked, window_millis,
    limit_clicks, opened_at, last_held_at, first_position, last_position, clicks, visitors)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::smallint[], $5::bytea[], $6::text[],
    $7::bigint[], $8::integer[], $9::timestamptz[], $10::timestamptz[], $11::bigint[], $12::bigint[],
    $13::bigint[], $14::bytea[])
ON CONFLICT (id) DO UPDATE
SET last_held_at = excluded.last_held_at, last_position = excluded.last_position, clicks = excluded.clicks,
    visitors = excluded.visitors
WHERE flag.last_position <= excluded.last_position
