-- Months from one on that are no partition yet, and whether the default partition has rows of them: rows for which there
-- was no partition when they came.
CREATE FUNCTION ingest_open_months(first_month date, months integer)
RETURNS TABLE (parent text, key text, child text, low timestamptz, high timestamptz, rows_in_default boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    FOR parent, key IN VALUES ('actions', 'recorded_at'), ('run_resources', 'start_time') LOOP
        FOR i IN 0 .. months - 1 LOOP
            low := (date_trunc('month', first_month::timestamp) + make_interval(months => i)) AT TIME ZONE 'UTC';
            high := (date_trunc('month', first_month::timestamp) + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
            child := format('%s_%s', parent, to_char(low AT TIME ZONE 'UTC', 'YYYY_MM'));
            CONTINUE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(child));
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)', parent || '_default', key, key)
                INTO rows_in_default USING low, high;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;

-- Makes the monthly partitions from a month on, for every partitioned table; returns those made. Safe to call from
-- many workers at once. Attaching a table, instead of creating a partition in place, keeps the lock on the parent
-- weak. Months of which the default partition has rows are left to ingest_fill_partition.
CREATE OR REPLACE FUNCTION ingest_make_partitions(first_month date, months integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    month record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ingest_make_partitions'));
    FOR month IN SELECT * FROM ingest_open_months(first_month, months) LOOP
        CONTINUE WHEN month.rows_in_default OR to_regclass(month.child) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', month.child, month.parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       month.parent, month.child, month.low, month.high);
        RETURN NEXT month.child;
    END LOOP;
END
$$;

-- One step towards the partition of a month of which the default partition has rows, `most` rows at a time: returns the
-- partition, how many rows were copied, and whether it is there now. No row: there is nothing to do, or somebody is at
-- it. Stopped between any two steps, the next call goes on; at no time does a reader of the parent see a row twice or
-- miss one: copies are in no partition, and in the last step, when the parent is locked, they take the rows' place.
CREATE FUNCTION ingest_fill_partition(first_month date, months integer, most integer)
RETURNS TABLE (partition text, copied bigint, attached boolean)
LANGUAGE plpgsql AS $$
DECLARE
    month record;
    rest  text;
    spare text;
    ident text;
    begun boolean;
    gone  bigint;
    held  bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('ingest_make_partitions')) THEN
        RETURN;
    END IF;
    SELECT * INTO month FROM ingest_open_months(first_month, months) AS due
        WHERE due.rows_in_default OR to_regclass(due.child) IS NOT NULL LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    partition := month.child;
    attached := false;
    spare := month.parent || '_default';
    -- What tells rows apart, in the order of the index.
    ident := CASE month.parent WHEN 'actions' THEN 'recorded_at, id' ELSE 'start_time, run_id, position' END;
    rest := format('%I >= %L AND %I < %L', month.key, month.low, month.key, month.high);
    -- A migration since has changed the parent, and what is no partition of it yet stayed behind: begin anew.
    IF (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass(month.child) AND attnum > 0 AND NOT attisdropped)
       <> (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = to_regclass(month.parent) AND attnum > 0 AND NOT attisdropped) THEN
        EXECUTE format('DROP TABLE %I', month.child);
    END IF;
    IF to_regclass(month.child) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (%s))', month.child, month.parent, rest);
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', month.child) INTO begun;
    -- After the last one that is copied, by the index.
    EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %s %s ORDER BY %s LIMIT %s', month.child, spare, rest,
                   CASE WHEN begun THEN format('AND (%s) > (SELECT %s FROM %I ORDER BY %s DESC LIMIT 1)', ident, ident,
                                               month.child, replace(ident, ',', ' DESC,')) END,
                   ident, most);
    GET DIAGNOSTICS copied = ROW_COUNT;
    IF copied > 0 THEN
        RETURN NEXT;
        RETURN;
    END IF;
    -- All is copied, but for what came in between: rows that were deleted since are forgotten, rows that are copied
    -- leave the default partition, and with the parent locked the few others follow.
    EXECUTE format('DELETE FROM %I AS copy WHERE NOT EXISTS (SELECT FROM %I AS kept WHERE %s AND (%s) = (%s))',
                   month.child, spare, replace(rest, quote_ident(month.key), 'kept.' || quote_ident(month.key)),
                   'copy.' || replace(ident, ', ', ', copy.'), 'kept.' || replace(ident, ', ', ', kept.'));
    EXECUTE format('DELETE FROM %I AS kept USING %I AS copy WHERE (%s) = (%s)',
                   spare, month.child, 'copy.' || replace(ident, ', ', ', copy.'),
                   'kept.' || replace(ident, ', ', ', kept.'));
    GET DIAGNOSTICS gone = ROW_COUNT;
    EXECUTE format('SELECT count(*) FROM %I', month.child) INTO held;
    IF gone <> held THEN
        RAISE EXCEPTION 'rows of % changed while they were moved; it is tried again', month.child
            USING ERRCODE = 'serialization_failure';
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', month.parent);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %s RETURNING *) INSERT INTO %I SELECT * FROM moved',
                   spare, rest, month.child);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   month.parent, month.child, month.low, month.high);
    attached := true;
    RETURN NEXT;
END
$$;
