-- The store's statements that are no table's; loaded by consumers/database/statements.py.

-- name: insert_tally
-- What leaves no row of its own is counted here: one line a batch, so that workers never wait for each other.
INSERT INTO tallies (outcome, rule, count) VALUES (%(outcome)s, %(rule)s, %(count)s);

-- name: insert_taking
-- For the ledger of acknowledged messages; most batches have none.
INSERT INTO acknowledgements (door, outcome, count) VALUES (%(door)s, %(outcome)s, %(count)s);

-- name: count_drift
-- A line for each sort of drift in a batch, added as all counts are; most batches of documented messages have none.
INSERT INTO drift (kind, door, member, difference, count, example)
SELECT kind, door, member, difference, messages, example
FROM json_to_recordset(%(drift)s::json)
    AS seen (kind text, door text, member text, difference text, messages bigint, example text);

-- name: sum_drift
-- Some lines become one of each sort, but those that another worker is at; whether there may be more.
WITH taken AS (
    DELETE FROM drift
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM drift LIMIT %(most)s FOR UPDATE SKIP LOCKED))
    RETURNING *
), summed AS (
    INSERT INTO drift (kind, door, member, difference, count, example, first_seen, last_seen)
    SELECT kind, door, member, difference, sum(count), max(example), min(first_seen), max(last_seen)
    FROM taken GROUP BY kind, door, member, difference
)
SELECT count(*) = %(most)s FROM taken;

-- name: read_only
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean;

-- name: lock_tables
-- As writing to them does; whoever locks them for long lets nobody write.
LOCK TABLE {tables}, dead_letters IN ROW EXCLUSIVE MODE;

-- name: make_partitions
SELECT ingest_make_partitions(date_trunc('month', now())::date, %(months)s::integer);

-- name: for_long
-- For this transaction only.
SELECT set_config('statement_timeout', %(seconds)s::text || 's', true);

-- name: fill_partition
-- One step; no row once there is nothing left to do.
SELECT partition, copied, attached
FROM ingest_fill_partition(date_trunc('month', now())::date, %(months)s::integer, %(most)s::integer);

-- name: forget_counts
DELETE FROM letter_counts WHERE hour < now() - interval '1 day';
