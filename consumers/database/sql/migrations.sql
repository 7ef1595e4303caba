-- What brings the schema up; loaded by consumers/database/statements.py.

-- name: take_turns
-- Whether it is ours now. An index that is made concurrently waits for all older snapshots: so this is asked again and
-- again, not waited for, and has no parameters, for what has some keeps its snapshot until the next statement.
SELECT pg_try_advisory_xact_lock(1732183);

-- name: lock_timeout
-- For this transaction only.
SELECT set_config('lock_timeout', %(seconds)s::text || 's', true);

-- name: there
SELECT to_regclass('schema_migrations'::text) IS NOT NULL;

-- name: create
CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

-- name: done
SELECT name FROM schema_migrations;

-- name: note
INSERT INTO schema_migrations (name) VALUES (%(name)s);
