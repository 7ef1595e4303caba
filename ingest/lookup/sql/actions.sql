-- What operators look up of actions; loaded by consumers/database/statements.py.

-- name: listed
-- A page of actions, newest first, without what is large.
SELECT a.id::text AS id,
       a.recorded_at,
       a.organization_name,
       a.entity_type,
       a.entity_name,
       a.parent_type,
       a.parent_name,
       a.task,
       a.requestor_type,
       a.requestor_name,
       a.remote_request_id,
       a.service_hostname,
       to_char(a.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place_time,
       a.id::text AS place_id
FROM actions AS a
WHERE a.recorded_at >= %(since)s::timestamptz AND a.recorded_at < %(until)s::timestamptz
  AND (%(place_time)s::timestamptz IS NULL
       OR (a.recorded_at, a.id) < (%(place_time)s::timestamptz, %(place_id)s::uuid))
  AND (%(organization)s::text IS NULL OR a.organization_name = %(organization)s::text)
  AND (%(entity)s::text IS NULL OR a.entity_name = %(entity)s::text OR a.parent_name = %(entity)s::text)
  AND (%(type)s::text IS NULL OR a.entity_type = %(type)s::text)
  AND (%(task)s::text IS NULL OR a.task = %(task)s::text)
  AND (%(requestor)s::text IS NULL OR a.requestor_name = %(requestor)s::text)
  AND (%(run_id)s::text IS NULL OR a.remote_request_id = %(run_id)s::text)
ORDER BY a.recorded_at DESC, a.id DESC LIMIT %(rows)s::bigint;

-- name: one
-- One action by its id.
SELECT a.id::text AS id, a.recorded_at, a.organization_name, a.entity_type, a.entity_name, a.parent_type, a.parent_name,
       a.task, a.requestor_type, a.requestor_name, a.remote_hostname, a.remote_request_id, a.request_id,
       a.service_hostname, a.user_agent, a.message_version, left(a.data::text, 262144) AS data,
       length(a.data::text) AS data_length, left(a.extra::text, 20000) AS extra, a.stored_at
FROM action_ids AS i JOIN actions AS a ON (a.recorded_at, a.id) = (i.recorded_at, i.id)
WHERE i.id = %(id)s::uuid;

-- name: known_run
-- Whether there is a run of this id.
SELECT run_id::text AS run_id FROM runs WHERE run_id = %(run_id)s::uuid;

-- name: skipped
-- How many actions were not stored in the hours of a run, since they were posted during runs: of all runs.
SELECT coalesce(sum(count), 0)::bigint AS actions FROM tallies
WHERE outcome = 'during_run' AND counted_at >= %(since)s::timestamptz AND counted_at < %(until)s::timestamptz;
