-- Every statement of the store, by name; loaded by consumers/database/statements.py.

-- name: insert_starts
-- Run starts; a run that is there already stays as it is.
INSERT INTO runs (run_id, organization, node_name, start_time, start_extra)
SELECT *
FROM unnest(%(run_id)s::uuid[], %(organization)s::text[], %(node_name)s::text[],
            %(start_time)s::timestamptz[], %(extra)s::json[])
ON CONFLICT (run_id) DO NOTHING
RETURNING run_id::text;

-- name: known_runs
-- Of the runs a batch names, those we know.
SELECT run_id::text, organization, node_name FROM runs WHERE run_id = ANY (%(run_ids)s::uuid[]);

-- name: lock_runs
-- The runs that a batch ends, in one order for everybody, so that two workers never deadlock.
SELECT run_id::text, organization, node_name, status,
       to_char(start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_time
FROM runs WHERE run_id = ANY (%(run_ids)s::uuid[]) ORDER BY run_id FOR UPDATE;

-- name: insert_action_ids
-- Takes the ids that are free; as many rows as there are.
INSERT INTO action_ids (id, recorded_at)
SELECT * FROM unnest(%(id)s::uuid[], %(recorded_at)s::timestamptz[])
ON CONFLICT (id) DO NOTHING;

-- name: insert_action
-- One action and its id, unless the run it names is known, which is counted instead; all in one statement.
WITH during AS (
    SELECT FROM runs WHERE run_id = %(run_id)s::uuid AND organization = %(organization_name)s
), counted AS (
    INSERT INTO tallies (outcome, rule, count) SELECT 'during_run', 'run_id', 1 FROM during
), free AS (
    INSERT INTO action_ids (id, recorded_at)
    SELECT %(id)s::uuid, %(recorded_at)s::timestamptz WHERE NOT EXISTS (SELECT FROM during)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, recorded_at
), stored AS (
    INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, parent_type, parent_name,
                         task, requestor_type, requestor_name, remote_hostname, remote_request_id, request_id,
                         service_hostname, user_agent, message_type, message_version, data, extra)
    SELECT id, recorded_at, %(organization_name)s, %(entity_type)s, %(entity_name)s, %(parent_type)s,
           %(parent_name)s, %(task)s, %(requestor_type)s, %(requestor_name)s, %(remote_hostname)s,
           %(remote_request_id)s, %(request_id)s, %(service_hostname)s, %(user_agent)s, %(message_type)s,
           %(message_version)s, %(data)s::json, %(extra)s::json
    FROM free
    RETURNING id
)
SELECT EXISTS (SELECT FROM during), EXISTS (SELECT FROM stored);

-- name: copy_actions
COPY actions (id, recorded_at, organization_name, entity_type, entity_name, parent_type, parent_name,
              task, requestor_type, requestor_name, remote_hostname, remote_request_id, request_id,
              service_hostname, user_agent, message_type, message_version, data, extra)
FROM STDIN;

-- name: stored_actions
-- Rows as they are, to tell a repeated message from another one under its id.
SELECT a.id::text, to_char(a.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       a.organization_name, a.entity_type, a.entity_name, a.parent_type, a.parent_name,
       a.task, a.requestor_type, a.requestor_name, a.remote_hostname, a.remote_request_id, a.request_id,
       a.service_hostname, a.user_agent, a.message_type, a.message_version, a.data::text, a.extra::text
FROM action_ids i JOIN actions a ON a.recorded_at = i.recorded_at AND a.id = i.id
WHERE i.id = ANY (%(ids)s::uuid[]);

-- name: end_run
UPDATE runs
SET status = %(status)s, end_time = %(end_time)s::timestamptz, end_start_time = %(start_time)s::timestamptz,
    run_list = %(run_list)s, expanded_run_list = %(expanded_run_list)s,
    total_res_count = %(total_res_count)s, updated_res_count = %(updated_res_count)s,
    data = %(data)s::json, end_extra = %(extra)s::json, ended_at = now()
WHERE run_id = %(run_id)s::uuid AND status = 'started';

-- name: copy_resources
COPY run_resources (run_id, start_time, position, type, name, resource_id, cookbook_name, cookbook_version,
                    duration_ms, before, after, delta, result, extra)
FROM STDIN;

-- name: stored_end
SELECT run_id::text, organization, node_name, status,
       to_char(end_start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       to_char(end_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       run_list, total_res_count, data::text, expanded_run_list, end_extra::text
FROM runs WHERE run_id = %(run_id)s::uuid;

-- name: stored_resources
SELECT r.position, r.type, r.name, r.resource_id, r.cookbook_name, r.cookbook_version, r.duration_ms,
       r.before::text, r.after::text, r.delta, r.result, r.extra::text
FROM runs JOIN run_resources r ON r.start_time = runs.start_time AND r.run_id = runs.run_id
WHERE runs.run_id = %(run_id)s::uuid ORDER BY r.position;

-- name: insert_tally
-- What leaves no row of its own is counted here: one line a batch, so that workers never wait for each other.
INSERT INTO tallies (outcome, rule, count) VALUES (%(outcome)s, %(rule)s, %(count)s);

-- name: insert_taking
-- For the ledger of acknowledged messages; most batches have none.
INSERT INTO acknowledgements (door, outcome, count) VALUES (%(door)s, %(outcome)s, %(count)s);

-- name: read_only
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean;

-- name: lock_tables
-- As writing to them does; whoever locks them for long lets nobody write.
LOCK TABLE actions, runs, run_resources, dead_letters IN ROW EXCLUSIVE MODE;

-- name: make_partitions
SELECT ingest_make_partitions(date_trunc('month', now())::date, %(months)s::integer);
