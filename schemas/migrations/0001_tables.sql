-- The tables every door writes and every operator reads.

-- One row for each action id ever stored, so that an id is taken once whatever month it names:
-- a unique index on the partitioned table would have to contain recorded_at.
CREATE TABLE action_ids (
    id          uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE actions (
    id                uuid        NOT NULL,
    recorded_at       timestamptz NOT NULL,
    organization_name text,
    entity_type       text        NOT NULL,
    entity_name       text        NOT NULL,
    parent_type       text,
    parent_name       text,
    task              text        NOT NULL,
    requestor_type    text        NOT NULL,
    requestor_name    text        NOT NULL,
    remote_hostname   text        NOT NULL,
    remote_request_id text,
    request_id        text        NOT NULL,
    service_hostname  text        NOT NULL,
    user_agent        text        NOT NULL,
    message_type      text        NOT NULL,
    message_version   text        NOT NULL,
    data              json,
    extra             json,
    stored_at         timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (recorded_at);
CREATE TABLE actions_default PARTITION OF actions DEFAULT;
CREATE INDEX actions_recorded_at_id ON actions (recorded_at, id);

CREATE TABLE runs (
    run_id            uuid PRIMARY KEY,
    organization      text        NOT NULL,
    node_name         text        NOT NULL,
    status            text        NOT NULL DEFAULT 'started'
                      CHECK (status IN ('started', 'success', 'failure')),
    start_time        timestamptz NOT NULL,
    end_time          timestamptz,
    run_list          text,
    expanded_run_list text,
    total_res_count   integer,
    updated_res_count integer,
    data              json,
    -- Members that the columns don't hold, of the start and of the end.
    start_extra       json,
    end_extra         json,
    -- The end's own start_time, kept to tell a repeated end from another one.
    end_start_time    timestamptz,
    stored_at         timestamptz NOT NULL DEFAULT now(),
    ended_at          timestamptz,
    CHECK ((status = 'started') = (end_time IS NULL))
);
CREATE INDEX runs_start_time ON runs (start_time);

CREATE TABLE run_resources (
    run_id           uuid        NOT NULL,
    start_time       timestamptz NOT NULL,
    position         integer     NOT NULL,
    type             text        NOT NULL,
    name             text        NOT NULL,
    resource_id      text        NOT NULL,
    cookbook_name    text,
    cookbook_version text,
    duration_ms      bigint      NOT NULL,
    before           json,
    after            json,
    delta            text,
    result           text        NOT NULL,
    extra            json
) PARTITION BY RANGE (start_time);
CREATE TABLE run_resources_default PARTITION OF run_resources DEFAULT;
CREATE INDEX run_resources_start_time_run_id ON run_resources (start_time, run_id, position);

CREATE TABLE dead_letters (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The same message (payload and envelope) is one letter, however often it comes.
    message_key      bytea       NOT NULL UNIQUE,
    state            text        NOT NULL DEFAULT 'open'
                     CHECK (state IN ('open', 'replaying', 'parked', 'resolved', 'discarded')),
    stage            text        NOT NULL
                     CHECK (stage IN ('decode', 'schema', 'meaning', 'database', 'crash', 'broker')),
    reason           text        NOT NULL,
    details          json        NOT NULL,
    sqlstate         text,
    fingerprint      text        NOT NULL,
    kind             text        NOT NULL,
    door             text        NOT NULL,
    organization     text,
    node             text,
    run_id           text,
    exchange         text        NOT NULL,
    routing_key      text        NOT NULL,
    content_encoding text,
    properties       json        NOT NULL,
    payload          bytea       NOT NULL,
    -- How often it could not be stored, failed replays included.
    attempts         integer     NOT NULL DEFAULT 1,
    first_seen       timestamptz NOT NULL DEFAULT now(),
    last_seen        timestamptz NOT NULL DEFAULT now(),
    worker_version   text        NOT NULL,
    -- What a replay made of it: the verdict that resolved it.
    resolution       json,

    -- An operator's correction; it is sent instead of the payload, which stays.
    edited_payload   bytea,
    edited_encoding  text,

    -- Replays are numbered: `replays` is the latest number given out, `settled_replay` the latest whose outcome
    -- is known. A second copy of a settled replay changes nothing.
    replays          integer     NOT NULL DEFAULT 0,
    settled_replay   integer     NOT NULL DEFAULT 0,
    failed_replays   integer     NOT NULL DEFAULT 0,
    -- The message_key of what a replay sends: proof that a message with our id in its headers is this one.
    replay_key       bytea       NOT NULL,
    -- The latest run of `dead replay` that claimed it, when, in what state it was, and when it was sent.
    replay_run       integer,
    claimed_at       timestamptz,
    claimed_from     text,
    replayed_at      timestamptz,

    CHECK ((state = 'resolved') = (resolution IS NOT NULL)),
    CHECK (state <> 'replaying' OR (replay_run IS NOT NULL AND claimed_at IS NOT NULL AND claimed_from IS NOT NULL)),
    CHECK (settled_replay <= replays)
);
CREATE INDEX dead_letters_state ON dead_letters (state, id);
CREATE INDEX dead_letters_fingerprint ON dead_letters (fingerprint);
CREATE INDEX dead_letters_replay_run ON dead_letters (replay_run) WHERE replay_run IS NOT NULL;

-- Every change of a letter: when, what, who, why. A message that keeps coming back leaves an event at its 2nd,
-- 4th, 8th ... time only; the letter itself counts them all. A prune leaves one line, without a letter.
CREATE TABLE dead_letter_events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter_id bigint,
    at        timestamptz NOT NULL DEFAULT now(),
    what      text        NOT NULL
              CHECK (what IN ('opened', 'seen again', 'reopened', 'replayed', 'failed again', 'resolved', 'parked',
                              'unparked', 'edited', 'discarded', 'imported', 'pruned')),
    who       text        NOT NULL,
    why       text,
    details   json
);
CREATE INDEX dead_letter_events_letter_id ON dead_letter_events (letter_id, at);

-- One line a `dead replay`: an interrupted one is gone on with by the same request.
CREATE TABLE dead_letter_replays (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request     text        NOT NULL,
    selector    json        NOT NULL,
    -- The newest letter when it began: later ones are not part of it.
    newest      bigint      NOT NULL,
    who         text        NOT NULL,
    why         text,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX dead_letter_replays_unfinished ON dead_letter_replays (request) WHERE finished_at IS NULL;

-- What leaves no row of its own: actions not stored because a rule said so, repeated messages.
CREATE TABLE tallies (
    counted_at timestamptz NOT NULL DEFAULT now(),
    outcome    text        NOT NULL,
    rule       text        NOT NULL DEFAULT '',
    count      integer     NOT NULL CHECK (count > 0)
);
CREATE INDEX tallies_counted_at ON tallies (counted_at);

-- Makes the monthly partitions from a month on, for every partitioned table; returns those made. Safe to
-- call from many workers at once. Attaching an already filled table, instead of creating a partition in
-- place, keeps the lock on the parent weak and takes along rows that the default partition caught before.
CREATE FUNCTION ingest_make_partitions(first_month date, months integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    key    text;
    low    timestamptz;
    high   timestamptz;
    child  text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ingest_make_partitions'));
    FOR parent, key IN VALUES ('actions', 'recorded_at'), ('run_resources', 'start_time') LOOP
        FOR i IN 0 .. months - 1 LOOP
            low := (date_trunc('month', first_month::timestamp) + make_interval(months => i))
                   AT TIME ZONE 'UTC';
            high := (date_trunc('month', first_month::timestamp) + make_interval(months => i + 1))
                    AT TIME ZONE 'UTC';
            child := format('%s_%s', parent, to_char(low AT TIME ZONE 'UTC', 'YYYY_MM'));
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            EXECUTE format(
                'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *)
                 INSERT INTO %I SELECT * FROM moved',
                parent || '_default', key, low, key, high, child);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           parent, child, low, high);
            RETURN NEXT child;
        END LOOP;
    END LOOP;
END
$$;
