-- What a supervisor asks the database; loaded by consumers/database/statements.py.

-- name: letters
SELECT state, count(*) FROM dead_letters GROUP BY state;

-- name: fullest
-- New letters in this hour of the organization that has most.
SELECT coalesce(max(letters), 0)::bigint FROM (
    SELECT sum(letters) AS letters FROM letter_counts WHERE hour = date_trunc('hour', now()) GROUP BY organization
) AS counted;

-- name: late_runs
-- All that were ever counted.
SELECT coalesce(sum(actions), 0)::bigint, coalesce(sum(registering), 0)::bigint FROM late_runs;

-- name: nodes
-- How their latest runs stand, and how many have not been heard of for long.
SELECT count(*) FILTER (WHERE status = 'started' AND start_time >= now() - %(aborted)s * interval '1 second'),
       count(*) FILTER (WHERE status = 'success'),
       count(*) FILTER (WHERE status = 'failure'),
       count(*) FILTER (WHERE status = 'started' AND start_time < now() - %(aborted)s * interval '1 second'),
       count(*) FILTER (WHERE status IS NULL),
       count(*) FILTER (WHERE last_seen < now() - %(missing)s * interval '1 second')
FROM nodes;

-- name: room
-- How many more connections the database takes from our user before a limit is reached. All may read
-- pg_stat_database; pg_stat_activity hides others' sessions from a plain user.
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
        - (SELECT sum(numbackends) FROM pg_stat_database),
    (SELECT datconnlimit - numbackends FROM pg_database JOIN pg_stat_database USING (datname)
        WHERE datname = current_database() AND datconnlimit >= 0),
    (SELECT rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)
        FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
);
