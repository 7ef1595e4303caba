-- What a run left behind; loaded by consumers/database/statements.py.

-- name: rows
SELECT 'action', id::text, entity_name, count(*) FROM actions GROUP BY 1, 2, 3
UNION ALL SELECT 'run_start', run_id::text, node_name, count(*) FROM runs GROUP BY 1, 2, 3
UNION ALL SELECT 'run_end', run_id::text, node_name, count(*) FROM runs WHERE status <> 'started' GROUP BY 1, 2, 3
UNION ALL SELECT 'resource', run_id::text || '#' || position, '', count(*) FROM run_resources
          GROUP BY 1, 2, 3 HAVING count(*) > 1;

-- name: letters
SELECT payload, sum(letters)::int, max(letters) FROM (
    SELECT payload, count(*) AS letters FROM dead_letters
    GROUP BY payload, kind, door, organization, node, run_id, exchange, routing_key, content_encoding
) AS messages GROUP BY payload;

-- name: tallies
SELECT outcome, sum(count)::int FROM tallies GROUP BY outcome;

-- name: stored
SELECT (SELECT count(*) FROM actions) + (SELECT count(*) FROM runs) + (SELECT count(*) FROM dead_letters)
     + (SELECT count(*) FROM runs WHERE status <> 'started') + (SELECT coalesce(sum(count), 0) FROM tallies);
