-- One page of a gonggu's clicks in [$2, $3) by (clicked_at, position), after ($4, $5). The id matters only where a row was
-- put in beside another: then, too, the order is the same every time.
SELECT t.id AS "id!", t.gonggu_id AS "gonggu_id!", t.run AS "run!", t.clicked_at AS "clicked_at!: PgMillis",
    t.judged_at AS "judged_at!: PgMillis", t.opens_at AS "opens_at!: PgMillis",
    t.closes_at AS "closes_at!: PgMillis", t.sequence AS "sequence!", t.position AS "position!",
    t.visitor AS "visitor!", t.rules_version AS "rules_version!", t.verdict AS "verdict!",
    t.reason AS "reason?", t.device AS "device!", t.endpoint AS "endpoint!", t.method AS "method!",
    t.origin AS "origin!", t.took_mark AS "took_mark!", t.user_id AS "user_id?",
    t.user_created_at AS "user_created_at?: PgMillis", t.duplicate_of_position AS "duplicate_of_position?",
    t.duplicate_of_judged_at AS "duplicate_of_judged_at?: PgMillis", t.flag_id AS "flag_id?",
    t.address_hash AS "address_hash!", t.network_hash AS "network_hash!", t.burst AS "burst!",
    t.ip_address AS "ip_address!", t.ip_masked AS "ip_masked!", t.user_agent AS "user_agent!",
    t.referer AS "referer!", t.request_facts AS "request_facts?"
FROM click_trackings t
WHERE t.gonggu_id = $1 AND t.clicked_at >= $4 AND t.clicked_at >= $2 AND t.clicked_at < $3
  AND (t.clicked_at, t.position) > ($4, $5)
ORDER BY t.clicked_at, t.position, t.id
LIMIT $6
