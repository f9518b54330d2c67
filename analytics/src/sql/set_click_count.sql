-- As follow_click_count.sql, for a click store elsewhere: $1 gonggus, $2 their judged billable clicks. Returns those that
-- somebody else has locked, for another try. Locks rows of gonggus only, in key order, without waiting.
WITH figures AS (
    SELECT head.gonggu_id, head.billable + coalesce((
               SELECT sum(adjustment.counts[1])::bigint FROM click_rollup_adjustments adjustment
               WHERE adjustment.gonggu_id = head.gonggu_id AND adjustment.level = 3), 0) AS billable
    FROM unnest($1::uuid[], $2::bigint[]) AS head (gonggu_id, billable)
), differing AS (
    SELECT gonggu.id, figures.billable FROM gonggus gonggu JOIN figures ON figures.gonggu_id = gonggu.id
    WHERE gonggu.click_count <> figures.billable
), locked AS (
    SELECT gonggu.id FROM gonggus gonggu WHERE gonggu.id IN (SELECT id FROM differing)
    ORDER BY gonggu.id FOR UPDATE SKIP LOCKED
), written AS (
    UPDATE gonggus gonggu SET click_count = differing.billable
    FROM differing JOIN locked ON locked.id = differing.id
    WHERE gonggu.id = differing.id
)
SELECT id AS "id!" FROM differing WHERE id NOT IN (SELECT id FROM locked)
