-- The newest minute, hour and day of a gonggu, packed, in the head's own row: a batch that touches 40,000 gonggus then
-- writes 40,000 rows and not 160,000. A rollup row stands in exactly one place: here while it is the newest of its
-- level and small, in click_rollups otherwise. NULL in rows that were written before.
ALTER TABLE click_heads
    ADD COLUMN open bytea,
    -- The minute among them: tells a reader where the gonggu's minutes begin without unpacking.
    ADD COLUMN open_minute_at timestamptz;
ALTER TABLE click_heads ALTER COLUMN open SET STORAGE MAIN;

-- Unpacks (see analytics/src/postgres/open.rs): each row is 17 numbers (level, microseconds since 2000 in zigzag, nine
-- counts, four devices, bytes of the sketch, referring hosts), the sketch, and for each host length, clicks, name.
-- For people and for the way back; the program unpacks by itself.
CREATE FUNCTION click_open_rollups(packed bytea)
RETURNS TABLE (level smallint, at timestamptz, counts bigint[], visitors bytea, referrers jsonb, devices bigint[])
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    place integer := 0;
    numbers bigint[];
    number bigint;
    wanted integer;
    hosts bigint;
    byte integer;
    shift integer;
BEGIN
    WHILE place < length(packed) LOOP
        numbers := '{}';
        wanted := 17;
        hosts := NULL;
        referrers := NULL;
        LOOP
            WHILE cardinality(numbers) < wanted LOOP
                number := 0;
                shift := 0;
                LOOP
                    byte := get_byte(packed, place);
                    place := place + 1;
                    number := number | ((byte & 127)::bigint << shift);
                    EXIT WHEN byte < 128;
                    shift := shift + 7;
                END LOOP;
                numbers := numbers || number;
            END LOOP;
            IF hosts IS NULL THEN
                level := numbers[1];
                -- The sign is the last bit; the shift of a signed number would keep the first one.
                number := ((numbers[2] >> 1) & 9223372036854775807) # -(numbers[2] & 1);
                at := CASE number
                    WHEN 9223372036854775807 THEN 'infinity'::timestamptz
                    WHEN -9223372036854775808 THEN '-infinity'::timestamptz
                    ELSE '2000-01-01 00:00:00+00'::timestamptz + number / 1000000 * interval '1 second'
                        + number % 1000000 * interval '1 microsecond'
                END;
                counts := numbers[3:11];
                devices := numbers[12:15];
                visitors := substr(packed, place + 1, numbers[16]::integer);
                place := place + numbers[16]::integer;
                hosts := numbers[17];
            ELSE
                referrers := coalesce(referrers, '{}') || jsonb_build_object(
                    convert_from(substr(packed, place + 1, numbers[1]::integer), 'UTF8'), numbers[2]);
                place := place + numbers[1]::integer;
                hosts := hosts - 1;
            END IF;
            EXIT WHEN hosts = 0;
            numbers := '{}';
            wanted := 2;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$$;

-- All rollup rows, wherever they stand.
CREATE VIEW click_rollups_all AS
SELECT gonggu_id, level, at, counts, visitors, referrers, devices FROM click_rollups
UNION ALL
SELECT head.gonggu_id, o.level, o.at, o.counts, o.visitors, o.referrers, o.devices
FROM click_heads head CROSS JOIN LATERAL click_open_rollups(head.open) o;
