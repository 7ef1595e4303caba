-- How a session begins; loaded by consumers/database/statements.py. Nothing here is looked up in anybody's schema.

-- name: backend
SELECT pg_catalog.pg_backend_pid();

-- name: set
SELECT pg_catalog.set_config(%(name)s::text, %(value)s::text, false);

-- name: home
-- The schema in which our tables are, wherever the search path found them.
SELECT pg_catalog.quote_ident(nspname::text)
FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = pg_catalog.to_regclass('schema_migrations'::text);

-- name: settle
SELECT pg_catalog.set_config(name, value, %(local)s::boolean)
FROM (SELECT pg_catalog.unnest(%(names)s::text[]) AS name, pg_catalog.unnest(%(values)s::text[]) AS value) AS given;
