-- The console's role: it reads everything, and writes what pauses queues, scales workers and stops replays, nothing else.
-- Run it as the owner of the tables, in its database, once `chef-ingest migrate` has made them, and again after each
-- upgrade:  psql "$OWNER_URL" -v role=ingest_console -f console.sql     The role itself is yours to make:
--   CREATE ROLE ingest_console LOGIN PASSWORD '...' NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 40;
\set ON_ERROR_STOP on
GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"role";
-- Who has the scope operate can pause queues, ask a supervisor to scale and a replay to stop. Without these lines nobody
-- can.
GRANT INSERT, DELETE ON pauses TO :"role";
GRANT UPDATE (wanted, wanted_by, wanted_why, state, finished_at) ON dead_letter_replays TO :"role";
GRANT UPDATE (request, asked_at, answer) ON supervisors TO :"role";
-- Partitions that are made later.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO :"role";
