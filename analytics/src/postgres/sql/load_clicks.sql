-- The stored clicks that a gonggu's window still holds: judged after $2, at or below $3 (rows above it were left
-- by a crash). judged_at is never before clicked_at, so the first branch takes all that were clicked after $2,
-- and prunes older months; the second takes those that came late, from an index of late ones only.
-- OFFSET 0 keeps the planner at one index probe a gonggu.
SELECT c.id AS "id!", c.gonggu_id AS "gonggu_id!", c.run AS "run!", c.clicked_at AS "clicked_at!: PgMillis",
    c.judged_at AS "judged_at!: PgMillis", c.opens_at AS "opens_at!: PgMillis",
    c.closes_at AS "closes_at!: PgMillis", c.sequence AS "sequence!", c.position AS "position!",
    c.visitor AS "visitor!", c.rules_version AS "rules_version!", c.verdict AS "verdict!",
    c.reason AS "reason?", c.device AS "device!", c.endpoint AS "endpoint!", c.method AS "method!",
    c.origin AS "origin!", c.took_mark AS "took_mark!", c.user_id AS "user_id?",
    c.user_created_at AS "user_created_at?: PgMillis", c.duplicate_of_position AS "duplicate_of_position?",
    c.duplicate_of_judged_at AS "duplicate_of_judged_at?: PgMillis", c.flag_id AS "flag_id?",
    c.address_hash AS "address_hash!", c.network_hash AS "network_hash!", c.burst AS "burst!",
    c.ip_address AS "ip_address!", c.ip_masked AS "ip_masked!", c.user_agent AS "user_agent!",
    c.referer AS "referer!", c.request_facts AS "request_facts?"
FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[]) AS w (gonggu_id, after, through)
CROSS JOIN LATERAL (
    SELECT t.* FROM click_trackings t
    WHERE t.gonggu_id = w.gonggu_id AND t.clicked_at > w.after AND t.position <= w.through
    UNION ALL
    SELECT t.* FROM click_trackings t
    WHERE t.gonggu_id = w.gonggu_id AND t.judged_at > w.after AND t.judged_at > t.clicked_at
      AND t.clicked_at <= w.after AND t.position <= w.through
    OFFSET 0
) c
ORDER BY c.gonggu_id, c.position
