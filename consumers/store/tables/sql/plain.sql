-- The statements of kinds whose rows stand by themselves; loaded by consumers/database/statements.py, which fills in
-- the kind's own columns, and by plain.py the names of its table and of its key.

-- name: insert_rows
-- Rows whose key nobody has taken; the others stay as they are.
INSERT INTO {table} ({columns Row})
SELECT * FROM unnest({arrays Row})
ON CONFLICT ({key}) DO NOTHING
RETURNING {key}::text;

-- name: stored_rows
-- Rows as they are, to tell a repeated message from another one under its key.
SELECT {texts Row t} FROM {table} t WHERE t.{key} = ANY (%(keys)s::{type}[]);
