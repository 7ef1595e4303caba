-- A run is told of by two doors, Reporting and the data collector, and is one row. All of it is instant: no row is
-- rewritten or looked at.
ALTER TABLE runs
    -- Which doors told of the start, and of the end that holds: reports, collector or both. What is there is
    -- Reporting's.
    ADD COLUMN started_by text DEFAULT 'reports',
    ADD COLUMN ended_by text DEFAULT 'reports',
    -- Times that no message tells, guessed by when it came.
    ADD COLUMN start_guessed boolean NOT NULL DEFAULT false,
    ADD COLUMN end_guessed boolean NOT NULL DEFAULT false,
    -- The doors told of different nodes or organizations; what the first one said stays.
    ADD COLUMN door_mismatch boolean NOT NULL DEFAULT false,
    ADD COLUMN entity_uuid text,
    ADD COLUMN source text,
    ADD COLUMN chef_server_fqdn text,
    ADD COLUMN client_version text,
    ADD COLUMN policy_name text,
    ADD COLUMN policy_group text,
    -- Status -> how many resources had it, those included that have no row.
    ADD COLUMN resource_counts json,
    ADD COLUMN collector_start_extra json,
    ADD COLUMN collector_end_extra json;
ALTER TABLE runs
    ALTER COLUMN started_by DROP DEFAULT,
    ALTER COLUMN ended_by DROP DEFAULT;
ALTER TABLE run_resources
    ADD COLUMN status text,
    ADD COLUMN recipe_name text,
    ADD COLUMN error json,
    ADD COLUMN conditional text,
    ADD COLUMN ignore_failure text;
