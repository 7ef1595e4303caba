-- The statements of actions; loaded by consumers/database/statements.py, which fills in the rows' columns.

-- name: insert_action_ids
-- Takes the ids that are free; as many rows as there are.
INSERT INTO action_ids (id, recorded_at)
SELECT * FROM unnest(%(id)s::uuid[], %(recorded_at)s::timestamptz[])
ON CONFLICT (id) DO NOTHING;

-- name: insert_action
-- One action and its id, unless the run it names is known, which is counted instead; all in one statement. `also` is
-- what else is written then, if something is.
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
){also}
SELECT EXISTS (SELECT FROM during), EXISTS (SELECT FROM stored);

-- name: and_drift
, drifted AS (
    {count_drift}
    WHERE EXISTS (SELECT FROM during) OR EXISTS (SELECT FROM stored)
)

-- name: copy_actions
COPY actions ({columns ActionRow}) FROM STDIN (FORMAT BINARY);

-- name: stored_actions
-- Rows as they are, to tell a repeated message from another one under its id.
SELECT {texts ActionRow a}
FROM action_ids i JOIN actions a ON a.recorded_at = i.recorded_at AND a.id = i.id
WHERE i.id = ANY (%(ids)s::uuid[]);
