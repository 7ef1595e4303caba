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

-- name: late_runs_due
-- From when to when actions are to be counted that came before their run, `seconds` at most and of one hour: one worker at
-- a time asks, the others get no row, as where less is due than is worth a step. The latest minutes wait until their
-- transactions have ended.
SELECT low, least(
    low + make_interval(secs => %(seconds)s::double precision), date_trunc('hour', low) + interval '1 hour',
    now() - interval '6 minutes'
) FROM (
    SELECT greatest(
        date_trunc('hour', now() - interval '1 day'),
        coalesce(max(counted_to), date_trunc('hour', now() - interval '1 hour'))
    ) AS low FROM late_runs
) AS latest WHERE low < now() - interval '6 minutes 15 seconds' AND pg_try_advisory_xact_lock(hashtext('ingest_late_runs'));

-- name: count_late_runs
-- Of `low` to `high`, once: a count that goes on from elsewhere changes nothing. Both times are those at which a
-- transaction began, so a run may seem to be older than an action that did not see it. LIMIT has each run looked up
-- by its id: joined, the planner may rather read all runs there are [measured].
INSERT INTO late_runs AS counted (hour, counted_to, actions, registering)
SELECT date_trunc('hour', %(low)s::timestamptz), %(high)s::timestamptz, count(*),
       count(*) FILTER (WHERE task = 'create' AND entity_type IN ('client', 'node'))
FROM (
    SELECT organization_name, task, entity_type, stored_at,
           CASE WHEN remote_request_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN remote_request_id::uuid END AS run_id
    FROM actions
    WHERE stored_at >= %(low)s::timestamptz AND stored_at < %(high)s::timestamptz
        AND %(by_run_id)s
) AS action
CROSS JOIN LATERAL (
    SELECT FROM runs WHERE runs.run_id = action.run_id AND organization = organization_name
        AND runs.stored_at BETWEEN action.stored_at - interval '1 minute' AND action.stored_at + interval '1 minute'
    LIMIT 1
) AS became_known
ON CONFLICT (hour) DO UPDATE SET counted_to = excluded.counted_to, actions = counted.actions + excluded.actions,
    registering = counted.registering + excluded.registering
WHERE counted.counted_to = %(low)s::timestamptz;

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
