-- Of the stored clicks that a gonggu's window still holds, those that its state needs (`store::needed` says why), and
-- of them the columns that it needs. At or below $4 (rows above it were left by a crash), and judged after $2 where they
-- left a mark, after $3 where they only counted. judged_at is never before clicked_at, so the first branch takes all
-- that were clicked after $2, and prunes older months; the second takes those that came late, from an index of
-- late ones only. OFFSET 0 keeps the planner at one index probe a gonggu. In no order: sorting millions of rows
-- would write them to disk first. Verdicts: 1 billable, 2 duplicate, 3 held; reason 21: quarantined.
SELECT w.slot AS "slot!", c.clicked_at AS "clicked_at!: PgMillis", c.judged_at AS "judged_at!: PgMillis",
    c.position AS "position!", c.visitor AS "visitor!", c.rules_version AS "rules_version!", c.verdict AS "verdict!",
    c.reason AS "reason?", c.took_mark AS "took_mark!", c.user_id AS "user_id?",
    c.user_created_at AS "user_created_at?: PgMillis", c.duplicate_of_position AS "duplicate_of_position?",
    c.duplicate_of_judged_at AS "duplicate_of_judged_at?: PgMillis", c.address_hash AS "address_hash!",
    c.network_hash AS "network_hash!", c.burst AS "burst!", c.member_agent AS "member_agent?"
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::integer[])
    AS w (gonggu_id, marks_after, counts_after, through, slot)
CROSS JOIN LATERAL (
    SELECT t.clicked_at, t.judged_at, t.position, t.visitor, t.rules_version, t.verdict, t.reason, t.took_mark,
        t.user_id, t.user_created_at, t.duplicate_of_position, t.duplicate_of_judged_at, t.address_hash,
        t.network_hash, t.burst, CASE WHEN t.user_id IS NOT NULL THEN t.user_agent END AS member_agent
    FROM click_trackings t
    WHERE t.gonggu_id = w.gonggu_id AND t.clicked_at > w.marks_after AND t.position <= w.through
      AND t.verdict IN (1, 2, 3) AND t.reason IS DISTINCT FROM 21
      AND (t.verdict <> 2 OR t.took_mark OR t.judged_at > w.counts_after)
    UNION ALL
    SELECT t.clicked_at, t.judged_at, t.position, t.visitor, t.rules_version, t.verdict, t.reason, t.took_mark,
        t.user_id, t.user_created_at, t.duplicate_of_position, t.duplicate_of_judged_at, t.address_hash,
        t.network_hash, t.burst, CASE WHEN t.user_id IS NOT NULL THEN t.user_agent END AS member_agent
    FROM click_trackings t
    WHERE t.gonggu_id = w.gonggu_id AND t.judged_at > w.marks_after AND t.judged_at > t.clicked_at
      AND t.clicked_at <= w.marks_after AND t.position <= w.through
      AND t.verdict IN (1, 2, 3) AND t.reason IS DISTINCT FROM 21
      AND (t.verdict <> 2 OR t.took_mark OR t.judged_at > w.counts_after)
    OFFSET 0
) c
