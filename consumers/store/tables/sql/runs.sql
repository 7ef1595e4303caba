-- The statements of runs and run_resources; loaded by consumers/database/statements.py, which fills in the rows' columns.

-- name: insert_starts
-- Run starts; a run that is there already stays as it is.
INSERT INTO runs ({columns RunStartRow})
SELECT *
FROM unnest({arrays RunStartRow})
ON CONFLICT (run_id) DO NOTHING
RETURNING run_id::text;

-- name: known_runs
-- Of the runs a batch names, those we know.
SELECT run_id::text, organization, node_name FROM runs WHERE run_id = ANY (%(run_ids)s::uuid[]);

-- name: lock_runs
-- The runs that a batch ends, in one order for everybody, so that two workers never deadlock.
SELECT run_id::text, organization, node_name, status,
       to_char(start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_time
FROM runs WHERE run_id = ANY (%(run_ids)s::uuid[]) ORDER BY run_id FOR UPDATE;

-- name: end_run
-- The row is locked. The time of the first end stays, since that is the message which the ledger finds here.
UPDATE runs
SET {changes RunEndRow but run_id organization node_name},
    updated_res_count = %(updated_res_count)s, reboot = %(reboot)s::json, ended_at = coalesce(ended_at, now())
WHERE run_id = %(run_id)s::uuid;

-- name: copy_resources
COPY run_resources (run_id, start_time, {columns ResourceRow}) FROM STDIN;

-- name: delete_resources
-- Those of ends that no longer hold.
DELETE FROM run_resources USING runs
WHERE runs.run_id = ANY (%(run_ids)s::uuid[])
  AND run_resources.start_time = runs.start_time AND run_resources.run_id = runs.run_id;

-- name: stored_end
SELECT {texts RunEndRow r}, r.reboot::text FROM runs r WHERE r.run_id = %(run_id)s::uuid;

-- name: stored_resources
SELECT {texts ResourceRow r}
FROM runs JOIN run_resources r ON r.start_time = runs.start_time AND r.run_id = runs.run_id
WHERE runs.run_id = %(run_id)s::uuid ORDER BY r.position;
