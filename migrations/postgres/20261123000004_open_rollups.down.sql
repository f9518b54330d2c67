INSERT INTO click_rollups (gonggu_id, level, at, counts, visitors, referrers, devices)
SELECT head.gonggu_id, o.level, o.at, o.counts, o.visitors, o.referrers, o.devices
FROM click_heads head CROSS JOIN LATERAL click_open_rollups(head.open) o;
DROP VIEW click_rollups_all;
DROP FUNCTION click_open_rollups(bytea);
ALTER TABLE click_heads DROP COLUMN open, DROP COLUMN open_minute_at;
