-- What operators look up of nodes; loaded by consumers/database/statements.py.

-- name: listed
-- A page of nodes by when they were last heard of, newest first: those that a data collector told of, and those that
-- only reported runs, whose latest one is found by the index of runs.
WITH RECURSIVE names AS (
    (SELECT left(organization, 255) AS organization, left(node_name, 255) AS node FROM runs
     ORDER BY left(organization, 255), left(node_name, 255) LIMIT 1)
    UNION ALL
    SELECT next.organization, next.node FROM names CROSS JOIN LATERAL (
        SELECT left(r.organization, 255) AS organization, left(r.node_name, 255) AS node FROM runs AS r
        WHERE (left(r.organization, 255), left(r.node_name, 255)) > (names.organization, names.node)
        ORDER BY left(r.organization, 255), left(r.node_name, 255) LIMIT 1
    ) AS next
), reported AS (
    SELECT latest.* FROM names CROSS JOIN LATERAL (
        SELECT r.organization, r.node_name AS name, r.run_id, r.status, r.start_time, r.end_time, r.client_version,
               r.policy_name, r.policy_group, coalesce(r.ended_at, r.stored_at) AS seen, r.started_by, r.ended_by
        FROM runs AS r
        WHERE left(r.organization, 255) = names.organization AND left(r.node_name, 255) = names.node
        ORDER BY r.start_time DESC, r.run_id DESC LIMIT 1
    ) AS latest
    -- Of whom the data collector told and who has no row of its own is deleted.
    WHERE coalesce(latest.started_by, 'reports') = 'reports' AND coalesce(latest.ended_by, 'reports') = 'reports'
      AND NOT EXISTS (SELECT FROM nodes AS n WHERE n.organization = latest.organization AND n.name = latest.name)
), every AS (
    SELECT n.organization, n.name, n.run_id, n.status, n.start_time, n.end_time, n.client_version, n.policy_name,
           n.policy_group, n.environment, n.pinged_at, n.last_seen AS seen
    FROM nodes AS n
    UNION ALL
    SELECT r.organization, r.name, r.run_id, r.status, r.start_time, r.end_time, r.client_version, r.policy_name,
           r.policy_group, NULL, NULL, r.seen
    FROM reported AS r
)
SELECT e.organization, e.name, e.run_id::text AS run_id,
       CASE WHEN e.status = 'started' AND e.start_time < %(aborted)s::timestamptz THEN 'aborted' ELSE e.status END AS status,
       e.start_time, e.end_time, e.client_version, e.policy_name, e.policy_group, e.environment, e.pinged_at, e.seen,
       to_char(e.seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place_time,
       md5(e.organization || E'\n' || e.name)::uuid::text AS place_id
FROM every AS e
WHERE (%(organization)s::text IS NULL OR e.organization = %(organization)s::text)
  AND (%(node)s::text IS NULL OR e.name = %(node)s::text)
  AND (%(status)s::text IS NULL
       OR CASE WHEN e.status = 'started' AND e.start_time < %(aborted)s::timestamptz THEN 'aborted' ELSE e.status END
          = %(status)s::text)
  AND (%(missing)s::timestamptz IS NULL OR e.seen < %(missing)s::timestamptz)
  AND (%(place_time)s::timestamptz IS NULL
       OR (e.seen, md5(e.organization || E'\n' || e.name)::uuid) < (%(place_time)s::timestamptz, %(place_id)s::uuid))
ORDER BY e.seen DESC, md5(e.organization || E'\n' || e.name)::uuid DESC LIMIT %(rows)s::bigint;

-- name: strips
-- The newest runs of each of these nodes, newest first.
SELECT w.organization, w.name, found.run_id, found.status, found.start_time
FROM unnest(%(organizations)s::text[], %(names)s::text[]) AS w (organization, name) CROSS JOIN LATERAL (
    SELECT r.run_id::text AS run_id, r.start_time,
           CASE WHEN r.status = 'started' AND r.start_time < %(aborted)s::timestamptz THEN 'aborted' ELSE r.status END AS status
    FROM runs AS r
    WHERE left(r.organization, 255) = left(w.organization, 255) AND left(r.node_name, 255) = left(w.name, 255)
      AND r.organization = w.organization AND r.node_name = w.name
    ORDER BY r.start_time DESC, r.run_id DESC LIMIT %(rows)s::bigint
) AS found;
