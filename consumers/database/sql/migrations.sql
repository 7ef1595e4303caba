-- What brings the schema up; loaded by consumers/database/statements.py.

-- name: take_turns
SELECT pg_advisory_xact_lock(%(lock)s::bigint);

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
