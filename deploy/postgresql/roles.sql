-- The lesser role: what workers, shims and operators' commands need of the database, and nothing beyond.
-- Run it as the owner of the tables, in its database, once `chef-ingest migrate` has made them, and again after each
-- upgrade:  psql "$OWNER_URL" -v role=ingest_app -f roles.sql     The role itself is yours to make, with its password:
--   CREATE ROLE ingest_app LOGIN PASSWORD '...' NOSUPERUSER NOCREATEDB NOCREATEROLE;
\set ON_ERROR_STOP on
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"role";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :"role";
-- Which migrations have been applied is read, never written.
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM :"role";
-- Partitions that are made later.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"role";
