-- Scripts send actions without a version; what was not sent is null. No row is rewritten or looked at.
ALTER TABLE actions ALTER COLUMN message_version DROP NOT NULL;

-- Months that are being made are no partitions yet, and would stay as they were.
DO $$
DECLARE
    month text;
BEGIN
    FOR month IN
        SELECT relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND NOT relispartition
          AND relname ~ '^actions_[0-9]{4}_[0-9]{2}$'
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN message_version DROP NOT NULL', month);
    END LOOP;
END
$$;
