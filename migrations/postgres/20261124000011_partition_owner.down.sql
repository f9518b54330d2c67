DELETE FROM click_partitions WHERE position IS NULL;
ALTER TABLE click_partitions
    DROP CONSTRAINT click_partitions_place_check,
    ALTER COLUMN run SET NOT NULL,
    ALTER COLUMN position SET NOT NULL,
    DROP COLUMN owner;
