-- What operators look up of runs; loaded by consumers/database/statements.py. Of all organizations, each is looked
-- through by its index and the best of each are taken: no index knows runs by time alone, which would cost each run.

-- name: organizations
-- What begins a statement about the runs of an organization, or of all: `wanted` has their names, as indexed.
WITH RECURSIVE known AS (
    (SELECT left(organization, 255) AS name FROM runs WHERE %(organization)s::text IS NULL
     ORDER BY left(organization, 255) LIMIT 1)
    UNION ALL
    SELECT (SELECT left(r.organization, 255) FROM runs AS r WHERE left(r.organization, 255) > known.name
            ORDER BY left(r.organization, 255) LIMIT 1)
    FROM known WHERE known.name IS NOT NULL
), wanted AS (
    SELECT name FROM known WHERE name IS NOT NULL
    UNION ALL
    SELECT left(%(organization)s::text, 255) WHERE %(organization)s::text IS NOT NULL
);

-- name: listed
-- A page of the runs that started in a window, newest first.
{organizations}
SELECT found.*,
       to_char(found.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place_time,
       found.run_id AS place_id
FROM wanted CROSS JOIN LATERAL (
    SELECT r.run_id::text AS run_id,
           r.organization,
           r.node_name,
           CASE WHEN r.status = 'started' AND r.start_time < %(aborted)s::timestamptz THEN 'aborted' ELSE r.status END AS status,
           r.start_time,
           r.end_time,
           r.total_res_count,
           r.updated_res_count,
           r.client_version,
           r.policy_name,
           r.policy_group
    FROM runs AS r
    WHERE left(r.organization, 255) = wanted.name
      AND (%(organization)s::text IS NULL OR r.organization = %(organization)s::text)
      AND (%(node)s::text IS NULL
           OR (left(r.node_name, 255) = left(%(node)s::text, 255) AND r.node_name = %(node)s::text))
      AND r.start_time >= %(since)s::timestamptz AND r.start_time < %(until)s::timestamptz
      AND (%(place_time)s::timestamptz IS NULL
           OR (r.start_time, r.run_id) < (%(place_time)s::timestamptz, %(place_id)s::uuid))
      AND (%(status)s::text IS NULL
           OR CASE %(status)s::text
                  WHEN 'started' THEN r.status = 'started' AND r.start_time >= %(aborted)s::timestamptz
                  WHEN 'aborted' THEN r.status = 'started' AND r.start_time < %(aborted)s::timestamptz
                  ELSE r.status = %(status)s::text
              END)
    ORDER BY r.start_time DESC, r.run_id DESC LIMIT %(rows)s::bigint
) AS found
ORDER BY found.start_time DESC, found.run_id::uuid DESC LIMIT %(rows)s::bigint;

-- name: hours
-- How many runs started in each hour of a window, by how they stand.
{organizations}
SELECT date_trunc('hour', r.start_time, 'UTC') AS hour,
       count(*) FILTER (WHERE r.status = 'started' AND r.start_time >= %(aborted)s::timestamptz) AS started,
       count(*) FILTER (WHERE r.status = 'success') AS success,
       count(*) FILTER (WHERE r.status = 'failure') AS failure,
       count(*) FILTER (WHERE r.status = 'started' AND r.start_time < %(aborted)s::timestamptz) AS aborted
FROM wanted JOIN runs AS r ON left(r.organization, 255) = wanted.name
WHERE (%(organization)s::text IS NULL OR r.organization = %(organization)s::text)
  AND (%(node)s::text IS NULL OR (left(r.node_name, 255) = left(%(node)s::text, 255) AND r.node_name = %(node)s::text))
  AND r.start_time >= %(since)s::timestamptz AND r.start_time < %(until)s::timestamptz
GROUP BY 1 ORDER BY 1;

-- name: failed
-- The newest failures of a window, with what ended them; not where that is very large.
{organizations}
SELECT found.* FROM wanted CROSS JOIN LATERAL (
    SELECT r.run_id::text AS run_id, r.organization, r.node_name, r.start_time,
           CASE WHEN pg_column_size(r.data) < 65536 THEN r.data::text END AS data
    FROM runs AS r
    WHERE left(r.organization, 255) = wanted.name
      AND (%(organization)s::text IS NULL OR r.organization = %(organization)s::text)
      AND (%(node)s::text IS NULL
           OR (left(r.node_name, 255) = left(%(node)s::text, 255) AND r.node_name = %(node)s::text))
      AND r.start_time >= %(since)s::timestamptz AND r.start_time < %(until)s::timestamptz
      AND r.status = 'failure'
    ORDER BY r.start_time DESC, r.run_id DESC LIMIT %(rows)s::bigint
) AS found
ORDER BY found.start_time DESC LIMIT %(rows)s::bigint;

-- name: run
-- One run by its id.
SELECT r.run_id::text AS run_id,
       r.organization,
       r.node_name,
       CASE WHEN r.status = 'started' AND r.start_time < %(aborted)s::timestamptz THEN 'aborted' ELSE r.status END AS status,
       r.start_time,
       r.end_time,
       r.start_guessed,
       r.end_guessed,
       r.run_list,
       r.expanded_run_list,
       r.total_res_count,
       r.updated_res_count,
       left(r.data::text, 200000) AS data,
       left(r.reboot::text, 20000) AS reboot,
       r.started_by,
       r.ended_by,
       r.door_mismatch,
       r.client_version,
       r.chef_server_fqdn,
       r.policy_name,
       r.policy_group,
       r.source,
       r.stored_at,
       r.ended_at
FROM runs AS r WHERE r.run_id = %(run_id)s::uuid;

-- name: resources
-- Resources of a run, those that failed first, then in the order they were sent.
SELECT s.position, s.type, s.name, s.resource_id, s.cookbook_name, s.cookbook_version, s.recipe_name, s.duration_ms,
       s.result, s.status, left(s.error::text, 20000) AS error, left(s.delta, 100000) AS delta,
       left(s.before::text, 4000) AS before, left(s.after::text, 4000) AS after
FROM run_resources AS s JOIN runs AS r ON (r.start_time, r.run_id) = (s.start_time, s.run_id)
WHERE r.run_id = %(run_id)s::uuid AND s.position > %(after)s::integer
ORDER BY s.position LIMIT %(rows)s::bigint;
