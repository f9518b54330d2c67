-- Who may store a partition: the judge that claimed it last. NULL: nobody claimed it yet, as with all rows there are.
ALTER TABLE click_partitions
    ADD COLUMN owner uuid,
    -- Claimed, but nothing stored yet: no position.
    ALTER COLUMN position DROP NOT NULL,
    ALTER COLUMN run DROP NOT NULL,
    ADD CONSTRAINT click_partitions_place_check CHECK ((position IS NULL) = (run IS NULL));
