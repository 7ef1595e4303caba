-- The statements of runs and run_resources; loaded by consumers/database/statements.py, which fills in the rows' columns.

-- name: insert_runs
-- Runs that begin; one that is there already stays as it is, and is locked and merged then.
INSERT INTO runs ({columns Start but door_mismatch})
SELECT *
FROM unnest({arrays Start but door_mismatch})
ON CONFLICT (run_id) DO NOTHING
RETURNING run_id::text;

-- name: known_runs
-- Of the runs a batch names, those we know.
SELECT run_id::text, organization, node_name FROM runs WHERE run_id = ANY (%(run_ids)s::uuid[]);

-- name: lock_runs
-- The known ones of the runs that a batch names, in one order for everybody, so that two workers never deadlock.
SELECT {texts Start r}, r.status
FROM runs r WHERE r.run_id = ANY (%(run_ids)s::uuid[]) ORDER BY r.run_id FOR UPDATE;

-- name: stored_ends
SELECT r.run_id::text, {texts End r} FROM runs r WHERE r.run_id = ANY (%(run_ids)s::uuid[]);

-- name: update_start
UPDATE runs SET {changes Start but run_id organization node_name} WHERE run_id = %(run_id)s::uuid;

-- name: update_end
-- The time of the first end stays, since that is the message which the ledger finds here.
UPDATE runs SET {changes End}, ended_at = CASE WHEN %(counted)s THEN now() ELSE ended_at END
WHERE run_id = %(run_id)s::uuid;

-- name: delete_resources
-- Those of an end that no longer holds.
DELETE FROM run_resources WHERE start_time = %(was)s::timestamptz AND run_id = %(run_id)s::uuid;

-- name: move_resources
-- They lie by the start of their run.
UPDATE run_resources SET start_time = %(start_time)s::timestamptz
WHERE start_time = %(was)s::timestamptz AND run_id = %(run_id)s::uuid;

-- name: copy_resources
COPY run_resources ({columns ResourceKey}, {columns ResourceRow}) FROM STDIN (FORMAT BINARY);

-- name: copy_collected
-- With what only the data collector tells.
COPY run_resources ({columns ResourceKey}, {columns CollectedRow}) FROM STDIN (FORMAT BINARY);

-- name: stored_end
-- As Reporting told it.
SELECT {texts RunEndRow r} FROM runs r WHERE r.run_id = %(run_id)s::uuid;

-- name: stored_resources
SELECT {texts ResourceRow r}
FROM runs JOIN run_resources r ON r.start_time = runs.start_time AND r.run_id = runs.run_id
WHERE runs.run_id = %(run_id)s::uuid ORDER BY r.position;
