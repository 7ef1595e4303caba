-- The statements of actions; loaded by consumers/database/statements.py, which fills in the rows' columns.

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
    RETURNING id
), stored AS (
    INSERT INTO actions ({columns ActionRow})
    SELECT {values ActionRow}
    FROM free
    RETURNING id
)
SELECT EXISTS (SELECT FROM during) WHERE EXISTS (SELECT FROM during) OR EXISTS (SELECT FROM stored);

-- name: insert_few
-- The same of several new actions, the nodes that they delete, and what else the ledger counts of them. Nothing is
-- written, and there is no row, where one of the ids is taken; where somebody takes one meanwhile, it fails. What is
-- written first here is done last: ids are taken before nodes are locked, as in all batches. A node that has
-- been seen after it was deleted has come back, and stays.
WITH sent AS (
    SELECT * FROM unnest({arrays ActionRow}, %(run_id)s::uuid[]) AS sent ({columns ActionRow}, run_id)
    WHERE NOT EXISTS (SELECT FROM action_ids WHERE id = ANY (%(id)s::uuid[]))
), during AS (
    SELECT sent.id FROM sent JOIN runs r ON r.run_id = sent.run_id AND r.organization = sent.organization_name
), gone AS (
    SELECT n.organization, n.name
    FROM (
        SELECT organization_name, entity_name, max(recorded_at) AS at FROM sent
        WHERE task = 'delete' AND entity_type = 'node' AND organization_name <> ''
        GROUP BY organization_name, entity_name
    ) AS told
    JOIN nodes n ON n.organization = told.organization_name AND n.name = told.entity_name
    WHERE coalesce(greatest(n.start_time, n.pinged_at) <= told.at, true)
    ORDER BY n.organization, n.name FOR UPDATE OF n
), deleted AS (
    DELETE FROM nodes n USING gone WHERE n.organization = gone.organization AND n.name = gone.name
), new AS (
    SELECT * FROM sent WHERE id NOT IN (SELECT id FROM during)
), free AS (
    INSERT INTO action_ids (id, recorded_at) SELECT id, recorded_at FROM new ORDER BY id
), stored AS (
    INSERT INTO actions ({columns ActionRow}) SELECT {columns ActionRow} FROM new
), tallied AS (
    INSERT INTO tallies (outcome, rule, count)
    SELECT 'during_run', 'run_id', count(*) FROM during HAVING count(*) > 0
), taken AS (
    INSERT INTO acknowledgements (door, outcome, count)
    SELECT * FROM unnest(%(doors)s::text[], %(outcomes)s::text[], %(counts)s::bigint[])
    WHERE EXISTS (SELECT FROM sent)
), drifted AS (
    {count_drift}
    WHERE EXISTS (SELECT FROM sent)
)
SELECT id IN (SELECT id FROM during) FROM sent ORDER BY id;

-- name: copy_actions
COPY actions ({columns ActionRow}) FROM STDIN (FORMAT BINARY);

-- name: stored_actions
-- Rows as they are, to tell a repeated message from another one under its id.
SELECT {texts ActionRow a}
FROM action_ids i JOIN actions a ON a.recorded_at = i.recorded_at AND a.id = i.id
WHERE i.id = ANY (%(ids)s::uuid[]);
