-- What `status` asks a database; loaded by consumers/database/statements.py.

-- name: causes
SELECT fingerprint, stage, reason, count(*), max(last_seen) FROM dead_letters
WHERE state IN ('open', 'parked') GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 5;

-- name: row_counts
SELECT 'actions', count(*) FROM actions
UNION ALL SELECT 'runs', count(*) FROM runs
UNION ALL SELECT 'run_resources', count(*) FROM run_resources
UNION ALL SELECT 'dead_letters', count(*) FROM dead_letters;
