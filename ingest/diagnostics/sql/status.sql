-- What `status` asks a database; loaded by consumers/database/statements.py.

-- name: causes
SELECT fingerprint, stage, reason, count(*), max(last_seen) FROM dead_letters
WHERE state IN ('open', 'parked') GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 5;

-- name: doors
-- Messages a second that came by each door in the last whole minute.
SELECT door, (sum(count) / 60.0)::float FROM acknowledgements
WHERE outcome IN ('confirmed', 'taken') AND counted_at >= date_trunc('minute', now()) - interval '1 minute'
    AND counted_at < date_trunc('minute', now())
GROUP BY door;

-- name: written
-- Rows that were ever written into each table, its partitions together, as the database's statistics have it.
SELECT coalesce(parent.relname, t.relname), sum(t.n_tup_ins)::bigint
FROM pg_stat_user_tables AS t LEFT JOIN pg_inherits AS i ON i.inhrelid = t.relid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE t.schemaname = current_schema() GROUP BY 1;

-- name: row_counts
SELECT 'actions', count(*) FROM actions
UNION ALL SELECT 'runs', count(*) FROM runs
UNION ALL SELECT 'run_resources', count(*) FROM run_resources
UNION ALL SELECT 'dead_letters', count(*) FROM dead_letters;
