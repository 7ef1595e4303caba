-- What Reporting's routes read of runs; loaded by consumers/database/statements.py. Organization and node are looked for
-- by their first 255 characters, by which they are indexed: no index takes a text of any length.

-- name: runs
-- A page of an organization's or a node's runs that started in a window, newest first.
SELECT r.run_id::text AS run_id,
       r.node_name,
       CASE WHEN r.status = 'started' AND r.start_time < %(aborted)s::timestamptz THEN 'aborted' ELSE r.status END AS status,
       to_char(r.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_time,
       to_char(r.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place_time,
       r.run_id::text AS place_id
FROM runs AS r
WHERE left(r.organization, 255) = left(%(organization)s::text, 255) AND r.organization = %(organization)s::text
  AND (%(node)s::text IS NULL
       OR (left(r.node_name, 255) = left(%(node)s::text, 255) AND r.node_name = %(node)s::text))
  AND r.start_time BETWEEN %(since)s::timestamptz AND %(until)s::timestamptz
  AND (%(place_time)s::timestamptz IS NULL
       OR (r.start_time, r.run_id) < (%(place_time)s::timestamptz, %(place_id)s::uuid))
  AND (%(status)s::text IS NULL
       OR CASE %(status)s::text
              WHEN 'started' THEN r.status = 'started' AND r.start_time >= %(aborted)s::timestamptz
              WHEN 'aborted' THEN r.status = 'started' AND r.start_time < %(aborted)s::timestamptz
              ELSE r.status = %(status)s::text
          END)
ORDER BY r.start_time DESC, r.run_id DESC
OFFSET %(start)s::bigint LIMIT %(rows)s::bigint;

-- name: run
-- One run of an organization, or of a node in it.
SELECT r.run_id::text AS run_id,
       r.organization,
       r.node_name,
       r.status,
       r.status = 'started' AND r.start_time < %(aborted)s::timestamptz AS aborted,
       to_char(r.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_time,
       to_char(r.end_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS end_time,
       r.run_list,
       r.total_res_count,
       r.updated_res_count,
       r.data::text AS data,
       -- Whether bytes are marked in what its end told.
       starts_with(concat(r.end_extra), %(flag)s::text) OR starts_with(concat(r.collector_end_extra), %(flag)s::text) AS strays
FROM runs AS r
WHERE r.run_id = %(run_id)s::uuid
  AND r.organization = %(organization)s::text
  AND (%(node)s::text IS NULL OR r.node_name = %(node)s::text);

-- name: resources
-- Resources of a run, in the order the client sent them.
SELECT s.position,
       s.type,
       s.name,
       s.resource_id AS id,
       s.cookbook_name,
       s.cookbook_version,
       s.duration_ms::text AS duration,
       s.before::text AS before,
       s.after::text AS after,
       s.delta,
       s.result
FROM run_resources AS s
JOIN runs AS r ON (r.start_time, r.run_id) = (s.start_time, s.run_id)
WHERE r.run_id = %(run_id)s::uuid
ORDER BY s.position
OFFSET %(start)s::bigint LIMIT %(rows)s::bigint;

-- name: resource
-- What a run changed in one resource.
SELECT s.delta
FROM run_resources AS s
JOIN runs AS r ON (r.start_time, r.run_id) = (s.start_time, s.run_id)
WHERE r.run_id = %(run_id)s::uuid
  AND r.organization = %(organization)s::text
  AND (%(node)s::text IS NULL OR r.node_name = %(node)s::text)
  AND s.position = %(position)s::integer;

-- name: counts
-- How many runs of an organization started in each minute, hour, day or week, by how they stand.
SELECT to_char(date_trunc(%(unit)s::text, r.start_time, 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_time,
       count(*) FILTER (WHERE r.status = 'started' AND r.start_time >= %(aborted)s::timestamptz) AS started,
       count(*) FILTER (WHERE r.status = 'success') AS success,
       count(*) FILTER (WHERE r.status = 'failure') AS failure,
       count(*) FILTER (WHERE r.status = 'started' AND r.start_time < %(aborted)s::timestamptz) AS aborted
FROM runs AS r
WHERE left(r.organization, 255) = left(%(organization)s::text, 255) AND r.organization = %(organization)s::text
  AND r.start_time BETWEEN %(since)s::timestamptz AND %(until)s::timestamptz
GROUP BY date_trunc(%(unit)s::text, r.start_time, 'UTC')
ORDER BY date_trunc(%(unit)s::text, r.start_time, 'UTC');

-- name: durations
-- How long an organization's runs took that started in a window and ended, in seconds.
SELECT count(*) AS runs,
       min(t.seconds) AS shortest,
       max(t.seconds) AS longest,
       avg(t.seconds)::double precision AS mean,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY t.seconds) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY t.seconds) AS p90,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY t.seconds) AS p99
FROM (SELECT extract(epoch FROM r.end_time - r.start_time)::double precision AS seconds
      FROM runs AS r
      WHERE left(r.organization, 255) = left(%(organization)s::text, 255) AND r.organization = %(organization)s::text
        AND r.start_time BETWEEN %(since)s::timestamptz AND %(until)s::timestamptz
        AND r.end_time IS NOT NULL) AS t;

-- name: alive
-- Whether anybody answers.
SELECT 1 AS alive;
