-- What the doctor asks a database; loaded by consumers/database/statements.py.

-- name: clock
SELECT extract(epoch FROM clock_timestamp());

-- name: read_only
SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean;

-- name: setting
SELECT current_setting(%(name)s::text);

-- name: connections
-- pg_stat_activity would hide other users' sessions from a user without pg_read_all_stats.
SELECT sum(numbackends) FROM pg_stat_database;

-- name: has_right
SELECT has_table_privilege(%(table)s::text, %(right)s::text);

-- name: is_partition
SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(%(name)s::text));

-- name: strays
-- Months of which a default partition has rows, as far as a look at the first ones tells.
SELECT to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM'), count(*)
FROM (SELECT {column} FROM {table}_default LIMIT %(most)s) AS sample GROUP BY 1 ORDER BY 1;

-- name: letters
SELECT count(*), count(*) FILTER (WHERE state = 'open') FROM dead_letters;

-- name: fullest
-- The organization with most new letters in this hour.
SELECT organization, sum(letters)::bigint FROM letter_counts WHERE hour = date_trunc('hour', now())
GROUP BY organization ORDER BY 2 DESC, 1 LIMIT 1;

-- name: untold_runs
-- Of the newest actions of a day: how many nodes saved themselves in runs that nobody told of, how often, and one.
WITH newest AS MATERIALIZED (
    SELECT entity_name, organization_name, remote_request_id,
           task = 'update' AND entity_type = 'node' AND requestor_type = 'client' AND entity_name = requestor_name
           AND remote_request_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' AS own
    FROM actions WHERE recorded_at BETWEEN now() - interval '1 day' AND now() + interval '1 hour'
    ORDER BY recorded_at DESC LIMIT %(most)s
)
SELECT count(*), count(DISTINCT (organization_name, entity_name)), min(entity_name) FROM newest
WHERE own AND NOT EXISTS (SELECT FROM runs WHERE run_id = CASE WHEN own THEN remote_request_id::uuid END);

-- name: before_their_runs
-- Of the newest actions of a day: how many are stored whose request id is a known run, which came later; and how many of
-- them are the client and the node that a first run makes before it tells of itself.
WITH newest AS MATERIALIZED (
    SELECT organization_name, task, entity_type,
           CASE WHEN remote_request_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN remote_request_id::uuid END AS run_id
    FROM actions WHERE recorded_at BETWEEN now() - interval '1 day' AND now() + interval '1 hour'
    ORDER BY recorded_at DESC LIMIT %(most)s
)
SELECT count(*), count(*) FILTER (WHERE task = 'create' AND entity_type IN ('client', 'node')) FROM newest
JOIN runs ON runs.run_id = newest.run_id AND organization = organization_name;
