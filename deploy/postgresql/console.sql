-- The console's role: it reads everything, and writes what pauses queues, scales workers, settles letters and replays
-- them, nothing else: no run, action or node can be made, changed or deleted by it.
-- Run it as the owner of the tables, in its database, once `chef-ingest migrate` has made them, and again after each
-- upgrade:  psql "$OWNER_URL" -v role=ingest_console -f console.sql     The role itself is yours to make:
--   CREATE ROLE ingest_console LOGIN PASSWORD '...' NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 40;
\set ON_ERROR_STOP on
GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"role";
-- What who has the scope operate can do. Without these lines nobody can.
GRANT INSERT, DELETE ON pauses TO :"role";
-- A replay is begun, told of, paused and stopped.
GRANT INSERT, UPDATE ON dead_letter_replays TO :"role";
-- Letters are parked, given up, edited and sent again, with an event each; what was received is never changed.
GRANT UPDATE (state, failed_replays, edited_payload, edited_encoding, edited_envelope, replay_key,
              replays, replay_run, claimed_at, claimed_from, replayed_at) ON dead_letters TO :"role";
GRANT INSERT ON dead_letter_events TO :"role";
GRANT INSERT, UPDATE, DELETE ON dead_letter_notes TO :"role";
-- Letters are pruned, and the ledger goes on counting them.
GRANT DELETE ON dead_letters, dead_letter_events TO :"role";
GRANT INSERT ON tallies TO :"role";
GRANT UPDATE (request, asked_at, answer) ON supervisors TO :"role";
-- Partitions that are made later.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO :"role";
