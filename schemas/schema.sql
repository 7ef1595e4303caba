-- The whole truth: what the migrations add up to. A test compares the two, and docs/reference/tables.md is made of it:
-- what stands above a table or a column says what it holds.

-- One row for each migration applied.
CREATE TABLE schema_migrations (
    -- The migration's file name.
    name       text PRIMARY KEY,
    -- When.
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row for each action id ever stored, so that an id is taken once whatever month it names:
-- a unique index on the partitioned table would have to contain recorded_at.
CREATE TABLE action_ids (
    -- The action's id.
    id          uuid PRIMARY KEY,
    -- Its time, with which the row in `actions` is found.
    recorded_at timestamptz NOT NULL
);

-- What happened on a Chef server, one row an action. Never changed once written.
CREATE TABLE actions (
    -- The sender's id; for messages of version 0.1.0, which have none, one made of their bytes.
    id                uuid        NOT NULL,
    -- When the request was signed, by the client's clock.
    recorded_at       timestamptz NOT NULL,
    -- Null for what belongs to no organization, such as a user's keys.
    organization_name text,
    -- What was changed: `node`, `role`, `item`, ...
    entity_type       text        NOT NULL,
    -- Its name; of a rename the old one.
    entity_name       text        NOT NULL,
    -- What it is part of: the `bag` of an item, the `cookbook` of a version.
    parent_type       text,
    -- The name of that.
    parent_name       text,
    -- `create`, `update`, `delete`; of users also `invite`, `associate`, `reject`, `dissociate`.
    task              text        NOT NULL,
    -- `user` or `client`.
    requestor_type    text        NOT NULL,
    -- Who did it.
    requestor_name    text        NOT NULL,
    -- Where the request came from: X-Forwarded-For as sent.
    remote_hostname   text        NOT NULL,
    -- The client's id of what it was doing; of a chef-client, its run id.
    remote_request_id text,
    -- The Chef server's id of the request.
    request_id        text        NOT NULL,
    -- The Chef server.
    service_hostname  text        NOT NULL,
    -- The client's own words.
    user_agent        text        NOT NULL,
    -- `action`.
    message_type      text        NOT NULL,
    -- `0.1.1`, or `0.1.0` of 2014; null where none was sent.
    message_version   text,
    -- What was sent with the request, as sent, but for what redaction cut.
    data              json COMPRESSION lz4,
    -- Members of the message that no column is for; `[not utf-8]` first where bytes of it were none, and how many. The
    -- same in every column of such members.
    extra             json COMPRESSION lz4,
    -- When it was committed.
    stored_at         timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (recorded_at);
CREATE TABLE actions_default PARTITION OF actions DEFAULT;
CREATE INDEX actions_recorded_at_id ON actions (recorded_at, id);

-- One row for each chef-client run, by whichever doors it is told of: begun by its start, completed by its end.
CREATE TABLE runs (
    -- The run's id.
    run_id            uuid PRIMARY KEY,
    -- From the URL of the report, or as the data collector's message says.
    organization      text        NOT NULL,
    -- The same.
    node_name         text        NOT NULL,
    -- How it stands.
    status            text        NOT NULL DEFAULT 'started'
                      CHECK (status IN ('started', 'success', 'failure')),
    -- By the node's clock.
    start_time        timestamptz NOT NULL,
    -- By the node's clock; null while it runs, or if its end never came.
    end_time          timestamptz,
    -- The node's run list, JSON in text, as sent.
    run_list          text,
    -- With roles resolved; chef-client 12.8 and later.
    expanded_run_list text,
    -- Resources in the run.
    total_res_count   integer,
    -- Resources reported: those updated or failed.
    updated_res_count integer,
    -- `{}`, or the exception that ended the run.
    data              json COMPRESSION lz4,
    -- Members of the start that no column is for.
    start_extra       json COMPRESSION lz4,
    -- Members of the end that no column is for.
    end_extra         json COMPRESSION lz4,
    -- The start time that the end names, to tell a repeated end from another one.
    end_start_time    timestamptz,
    -- When the run became known.
    stored_at         timestamptz NOT NULL DEFAULT now(),
    -- When its end was committed, the first of several; null of a run that became known by its end.
    ended_at          timestamptz,
    -- The exception of a client that ended the run in order to reboot; a success before it still holds.
    reboot            json,
    -- The doors that told of the start: `reports`, `collector` or `both`; null when none did.
    started_by        text,
    -- The doors that told of the end that holds.
    ended_by          text,
    -- Nobody told the start time: it is when the message came.
    start_guessed     boolean NOT NULL DEFAULT false,
    -- The same of the end time.
    end_guessed       boolean NOT NULL DEFAULT false,
    -- The doors told of different nodes or organizations; what came first stays.
    door_mismatch     boolean NOT NULL DEFAULT false,
    -- The node's, by the data collector.
    entity_uuid       text,
    -- `chef_client` or `chef_solo`, by the data collector.
    source            text,
    -- The Chef server's host, by the data collector.
    chef_server_fqdn  text,
    -- The client's version.
    client_version    text,
    -- The node's policy, by the data collector.
    policy_name       text,
    -- Its group.
    policy_group      text,
    -- Status -> how many resources had it, those without a row included; by the data collector.
    resource_counts   json,
    -- Members of the data collector's start that no column is for.
    collector_start_extra json,
    -- The same of its end.
    collector_end_extra   json,
    CHECK ((status = 'started') = (end_time IS NULL))
) WITH (fillfactor = 50);
-- By the first 255 characters: no index takes a text of any length.
CREATE INDEX runs_organization_node_name
    ON runs (left(organization, 255), left(node_name, 255), start_time, run_id);
CREATE INDEX runs_organization ON runs (left(organization, 255), start_time, run_id);

-- One row for each resource that a run reports as updated or failed, or for all (INGEST_COLLECTOR_KEEP_RESOURCES).
CREATE TABLE run_resources (
    -- The run.
    run_id           uuid        NOT NULL,
    -- The run's start, by which the table is partitioned.
    start_time       timestamptz NOT NULL,
    -- Its place in the report, from 0.
    position         integer     NOT NULL,
    -- Such as `file`.
    type             text        NOT NULL,
    -- The resource's name in the recipe.
    name             text        NOT NULL,
    -- What it identifies, such as a path.
    resource_id      text        NOT NULL,
    -- Null for sensitive resources and those of no cookbook.
    cookbook_name    text,
    -- The same.
    cookbook_version text,
    -- Milliseconds.
    duration_ms      bigint      NOT NULL,
    -- State before.
    before           json COMPRESSION lz4,
    -- State after.
    after            json COMPRESSION lz4,
    -- Unified diff, if there is one.
    delta            text COMPRESSION lz4,
    -- The action taken, such as `create`.
    result           text        NOT NULL,
    -- Members that no column is for.
    extra            json COMPRESSION lz4,
    -- Such as `updated` or `failed`; this and what follows by the data collector only.
    status           text,
    -- The recipe it stands in.
    recipe_name      text,
    -- Why it failed.
    error            json,
    -- The guard that kept it from running.
    conditional      text,
    -- Whether its failure lets the run go on: `true`, `false` or `quiet`.
    ignore_failure   text
) PARTITION BY RANGE (start_time);
CREATE TABLE run_resources_default PARTITION OF run_resources DEFAULT;
CREATE INDEX run_resources_start_time_run_id ON run_resources (start_time, run_id, position);

-- One row for each node, with the latest that a data collector was told of it. Gone when an action deletes the node.
CREATE TABLE nodes (
    -- Its organization.
    organization   text        NOT NULL CHECK (length(organization) <= 255),
    -- Its name.
    name           text        NOT NULL CHECK (length(name) <= 255),
    -- Its latest run; null of a node that only pings.
    run_id         uuid,
    -- How that stands.
    status         text        CHECK (status IN ('started', 'success', 'failure')),
    -- It ended in order to reboot.
    reboot         boolean     NOT NULL DEFAULT false,
    -- By the node's clock.
    start_time     timestamptz,
    -- By the node's clock; null while it runs.
    end_time       timestamptz,
    -- The start of the run that told what follows, up to the node object: the latest one that had a node object.
    told_at        timestamptz,
    -- The client's version.
    client_version text,
    -- The node's environment.
    environment    text,
    -- The node's policy.
    policy_name    text,
    -- Its group.
    policy_group   text,
    -- The node's run list, as sent.
    run_list       json,
    -- SHA-256 of the node object's text.
    node_hash      text,
    -- The node object, as sent, but for what redaction cut.
    node           json COMPRESSION lz4,
    -- The latest ping of its liveness agent, by the node's clock.
    pinged_at      timestamptz,
    -- Members of that ping that no column is for.
    ping_extra     json,
    -- When it became known.
    first_seen     timestamptz NOT NULL DEFAULT now(),
    -- When this row last changed.
    last_seen      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization, name)
);

-- One row for each compliance report.
CREATE TABLE compliance_reports (
    -- The report's id, which is that of the chef-client run.
    id           uuid        PRIMARY KEY,
    -- The node's organization, if it is told.
    organization text,
    -- The node.
    node_name    text,
    -- Its UUID.
    node_uuid    text,
    -- When it was done, by the node's clock.
    end_time     timestamptz NOT NULL,
    -- `failed` when a control has, or InSpec itself; else `passed`, `waived` or `skipped`, the first that a control is.
    status       text        NOT NULL CHECK (status IN ('passed', 'failed', 'skipped', 'waived')),
    -- How many controls passed.
    passed       integer     NOT NULL,
    -- How many have a result that failed.
    failed       integer     NOT NULL,
    -- How many have a result that was skipped, and none that failed.
    skipped      integer     NOT NULL,
    -- How many have a waiver that has not expired.
    waived       integer     NOT NULL,
    -- The node's environment.
    environment  text,
    -- The node's policy.
    policy_name  text,
    -- Its group.
    policy_group text,
    -- The profiles with their controls and results, as sent, but for what redaction cut.
    profiles     json COMPRESSION lz4 NOT NULL,
    -- Members of the report that no column is for.
    extra        json COMPRESSION lz4,
    -- When it was committed.
    stored_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX compliance_reports_end_time ON compliance_reports (end_time);
CREATE INDEX compliance_reports_stored_at ON compliance_reports USING brin (stored_at) WITH (autosummarize = on);

-- Messages that could not be stored, with their reason and their bytes, to be replayed.
CREATE TABLE dead_letters (
    -- The letter's number, for `chef-ingest dead`.
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Digest of payload and envelope: the same message is one letter, however often it comes.
    message_key      bytea       NOT NULL UNIQUE,
    -- Where it stands.
    state            text        NOT NULL DEFAULT 'open'
                     CHECK (state IN ('open', 'replaying', 'parked', 'resolved', 'discarded')),
    -- How far it came.
    stage            text        NOT NULL
                     CHECK (stage IN ('decode', 'schema', 'meaning', 'database', 'crash', 'broker')),
    -- Stable code, see [errors](errors.md).
    reason           text        NOT NULL,
    -- Member -> text, every fault.
    details          json        NOT NULL,
    -- PostgreSQL's code, where it refused.
    sqlstate         text,
    -- The same for the same cause; `chef-ingest dead groups` groups by it.
    fingerprint      text        NOT NULL,
    -- `action`, `run_start`, `run_end`, `collector_start` and so on; see [the glossary](../glossary.md).
    kind             text        NOT NULL,
    -- `http`, `collector`, or `chef` for a Chef server's own publish.
    door             text        NOT NULL,
    -- From the URL, or as the body says.
    organization     text,
    -- From the URL, or as the body says.
    node             text,
    -- From the URL of a run's end.
    run_id           text,
    -- Where it was published, and where a replay sends it.
    exchange         text        NOT NULL,
    -- With which key.
    routing_key      text        NOT NULL,
    -- Of the payload: `gzip` or null.
    content_encoding text,
    -- AMQP properties and headers.
    properties       json        NOT NULL,
    -- The bytes received, never changed.
    payload          bytea COMPRESSION lz4 NOT NULL,
    -- How often it could not be stored, failed replays included.
    attempts         integer     NOT NULL DEFAULT 1,
    -- First time.
    first_seen       timestamptz NOT NULL DEFAULT now(),
    -- Last time.
    last_seen        timestamptz NOT NULL DEFAULT now(),
    -- Version of the worker that refused it last.
    worker_version   text        NOT NULL,
    -- What a replay made of it: the verdict that resolved it.
    resolution       json,

    -- An operator's correction; it is sent instead of the payload, which stays.
    edited_payload   bytea COMPRESSION lz4,
    -- Its content encoding.
    edited_encoding  text,

    -- The latest replay's number: replays are numbered, and a second copy of a settled one changes nothing.
    replays          integer     NOT NULL DEFAULT 0,
    -- The latest replay whose outcome is known.
    settled_replay   integer     NOT NULL DEFAULT 0,
    -- How many replays ended as a letter again; at `INGEST_MAX_REPLAYS` it is parked.
    failed_replays   integer     NOT NULL DEFAULT 0,
    -- The message_key of what a replay sends: proof that a message with our id in its headers is this one.
    replay_key       bytea       NOT NULL,
    -- The latest `chef-ingest dead replay` that claimed it.
    replay_run       integer,
    -- When that was.
    claimed_at       timestamptz,
    -- The state it was in then.
    claimed_from     text,
    -- When it was sent.
    replayed_at      timestamptz,

    -- An operator's correction of kind, door, organization, node or run_id: those that it names.
    edited_envelope  json,

    -- Who sent it first: what the shim knew (`who`, `userid`, `address`, `forwarded_for`, `user_agent`) and what the body
    -- says (`service_hostname`, `remote_hostname`). Null before version 0018 of this schema.
    sender           json,
    -- Of these the one that says it best.
    sent_by          text,
    -- What was changed, as the body says, of kinds that tell it.
    entity           text,
    -- By whom.
    requestor        text,
    -- Of a payload that came compressed: its beginning, inflated, to search in.
    plain            bytea COMPRESSION lz4,

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
    -- A number.
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The letter; null of a prune.
    letter_id bigint,
    -- When.
    at        timestamptz NOT NULL DEFAULT now(),
    -- What happened.
    what      text        NOT NULL
              CHECK (what IN ('opened', 'seen again', 'reopened', 'replayed', 'failed again', 'resolved', 'parked',
                              'unparked', 'edited', 'discarded', 'imported', 'pruned')),
    -- The worker, or the operator named by `--as`.
    who       text        NOT NULL,
    -- What was given with `--why`.
    why       text,
    -- More, depending on what.
    details   json,
    -- The replay that sent it, or whose message this came of: its number.
    replay    integer
);
CREATE INDEX dead_letter_events_letter_id ON dead_letter_events (letter_id, at);
CREATE INDEX dead_letter_events_replay ON dead_letter_events (replay, what) INCLUDE (letter_id) WHERE replay IS NOT NULL;

-- What somebody has to say of a cause, `chef-ingest dead note`: one note a cause, the latest.
CREATE TABLE dead_letter_notes (
    -- The cause, as `chef-ingest dead groups` names it.
    fingerprint text        PRIMARY KEY,
    -- The note.
    text        text        NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    -- Who wrote it.
    who         text        NOT NULL,
    -- When.
    noted_at    timestamptz NOT NULL DEFAULT now()
);

-- One line a replay of letters, `chef-ingest dead replays`: what it is, how far it is, what is wanted of it.
CREATE TABLE dead_letter_replays (
    -- The replay's number.
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What was asked for, in words: the same command goes on with an interrupted one.
    request        text        NOT NULL,
    -- Which letters.
    selector       json        NOT NULL,
    -- The newest letter when it began: later ones are not part of it.
    newest         bigint      NOT NULL,
    -- Who asked.
    who            text        NOT NULL,
    -- What was given with `--why`.
    why            text,
    -- When it began.
    started_at     timestamptz NOT NULL DEFAULT now(),
    -- When it was done or stopped; null: interrupted or under way.
    finished_at    timestamptz,
    -- What was given with `--name`.
    name           text,
    -- Which of the letters are sent: those that would now be stored, those not known to be refused again, or all.
    accepts        text        NOT NULL DEFAULT 'hopeful' CHECK (accepts IN ('fixed', 'hopeful', 'all')),
    -- Letters a second at most; null: as fast as it goes.
    rate           real CHECK (rate > 0),
    -- It stops when so many letters have failed again; null: it does not.
    until_failures integer     CHECK (until_failures > 0),
    -- What its process said last. One that no session holds any more is interrupted: that is told, and not written.
    state          text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'stopped', 'done')),
    -- What somebody wants of its process.
    wanted         text        NOT NULL DEFAULT 'run' CHECK (wanted IN ('run', 'pause', 'stop')),
    -- Who; null: nobody has wanted anything yet.
    wanted_by      text,
    -- Why.
    wanted_why     text,
    -- The machine of its process.
    host           text,
    -- When its process wrote this line last; null: none has taken it up yet.
    heard_at       timestamptz,
    -- How many letters there are to look at; null with a limit.
    total          bigint,
    -- How many have been looked at.
    looked_at      bigint      NOT NULL DEFAULT 0,
    -- Of them, those not sent because they would be refused again.
    passed_over    bigint      NOT NULL DEFAULT 0,
    -- Of them, those that the broker did not take.
    not_taken      bigint      NOT NULL DEFAULT 0,
    CHECK ((finished_at IS NULL) = (state NOT IN ('stopped', 'done')))
);
CREATE INDEX dead_letter_replays_unfinished ON dead_letter_replays (request) WHERE finished_at IS NULL;

-- Counts new dead letters by the hour and organization, so that they are bounded: a line a batch that has some, never
-- changed, so that workers don't wait for each other. An organization without a name, or with a long one, is ''.
CREATE TABLE letter_counts (
    -- In which they came.
    hour         timestamptz NOT NULL DEFAULT date_trunc('hour', now()),
    -- Which their messages name; empty: none, or one of more than 255 characters.
    organization text        NOT NULL CHECK (length(organization) <= 255),
    -- How many new ones a batch had.
    letters      integer     NOT NULL CHECK (letters > 0)
);
CREATE INDEX letter_counts_hour ON letter_counts (hour, organization) INCLUDE (letters);

-- What leaves no row of its own: actions not stored because a rule said so, repeated messages, what only its sender was
-- told. And letters that were pruned, in the hours in which they came.
CREATE TABLE tallies (
    -- When.
    counted_at timestamptz NOT NULL DEFAULT now(),
    -- Such as `during_run`, `duplicate`, `merged` or `told`; `pruned`: letters that have been deleted since.
    outcome    text        NOT NULL,
    -- The rule that said so.
    rule       text        NOT NULL DEFAULT '',
    -- How many.
    count      integer     NOT NULL CHECK (count > 0)
);
CREATE INDEX tallies_counted_at ON tallies (counted_at);

-- What was taken from senders, for the ledger: `confirmed` by the broker to a shim, `unconfirmed` when a shim had
-- to answer 503 though the broker may have the message, `taken` from a Chef server's exchange by a worker,
-- `redelivered` when the broker brought a message again that leaves no row of its own.
CREATE TABLE acknowledgements (
    -- When.
    counted_at timestamptz NOT NULL DEFAULT now(),
    -- `http`, `collector`, or `chef` for a Chef server's own publish.
    door       text        NOT NULL,
    -- What was told to the sender.
    outcome    text        NOT NULL CHECK (outcome IN ('confirmed', 'unconfirmed', 'taken', 'redelivered')),
    -- How many.
    count      integer     NOT NULL CHECK (count > 0)
);
CREATE INDEX acknowledgements_counted_at ON acknowledgements (counted_at);

-- Rows are stored in the order of this time, so a few bytes for each stretch of the table find an hour of it.
CREATE INDEX actions_stored_at ON actions USING brin (stored_at) WITH (autosummarize = on);

-- Months from one on that are no partition yet, and whether the default partition has rows of them: rows for which there
-- was no partition when they came.
CREATE FUNCTION ingest_open_months(first_month date, months integer)
RETURNS TABLE (parent text, key text, child text, low timestamptz, high timestamptz, rows_in_default boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    FOR parent, key IN VALUES ('actions', 'recorded_at'), ('run_resources', 'start_time') LOOP
        FOR i IN 0 .. months - 1 LOOP
            low := (date_trunc('month', first_month::timestamp) + make_interval(months => i)) AT TIME ZONE 'UTC';
            high := (date_trunc('month', first_month::timestamp) + make_interval(months => i + 1)) AT TIME ZONE 'UTC';
            child := format('%s_%s', parent, to_char(low AT TIME ZONE 'UTC', 'YYYY_MM'));
            CONTINUE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(child));
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)', parent || '_default', key, key)
                INTO rows_in_default USING low, high;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;

-- Makes the monthly partitions from a month on, for every partitioned table; returns those made. Safe to call from
-- many workers at once. Attaching a table, instead of creating a partition in place, keeps the lock on the parent
-- weak. Months of which the default partition has rows are left to ingest_fill_partition.
CREATE FUNCTION ingest_make_partitions(first_month date, months integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    month record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ingest_make_partitions'));
    FOR month IN SELECT * FROM ingest_open_months(first_month, months) LOOP
        CONTINUE WHEN month.rows_in_default OR to_regclass(month.child) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', month.child, month.parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       month.parent, month.child, month.low, month.high);
        RETURN NEXT month.child;
    END LOOP;
END
$$;

-- One step towards the partition of a month of which the default partition has rows, `most` rows at a time: returns the
-- partition, how many rows were copied, and whether it is there now. No row: there is nothing to do, or somebody is at
-- it. Stopped between any two steps, the next call goes on; at no time does a reader of the parent see a row twice or
-- miss one: copies are in no partition, and in the last step, when the parent is locked, they take the rows' place.
CREATE FUNCTION ingest_fill_partition(first_month date, months integer, most integer)
RETURNS TABLE (partition text, copied bigint, attached boolean)
LANGUAGE plpgsql AS $$
DECLARE
    month record;
    rest  text;
    spare text;
    ident text;
    begun boolean;
    gone  bigint;
    held  bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('ingest_make_partitions')) THEN
        RETURN;
    END IF;
    SELECT * INTO month FROM ingest_open_months(first_month, months) AS due
        WHERE due.rows_in_default OR to_regclass(due.child) IS NOT NULL LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    partition := month.child;
    attached := false;
    spare := month.parent || '_default';
    -- What tells rows apart, in the order of the index.
    ident := CASE month.parent WHEN 'actions' THEN 'recorded_at, id' ELSE 'start_time, run_id, position' END;
    rest := format('%I >= %L AND %I < %L', month.key, month.low, month.key, month.high);
    -- A migration since has changed the parent, and what is no partition of it yet stayed behind: begin anew.
    IF (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass(month.child) AND attnum > 0 AND NOT attisdropped)
       <> (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
           WHERE attrelid = to_regclass(month.parent) AND attnum > 0 AND NOT attisdropped) THEN
        EXECUTE format('DROP TABLE %I', month.child);
    END IF;
    IF to_regclass(month.child) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL, CHECK (%s))', month.child, month.parent, rest);
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', month.child) INTO begun;
    -- After the last one that is copied, by the index.
    EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %s %s ORDER BY %s LIMIT %s', month.child, spare, rest,
                   CASE WHEN begun THEN format('AND (%s) > (SELECT %s FROM %I ORDER BY %s DESC LIMIT 1)', ident, ident,
                                               month.child, replace(ident, ',', ' DESC,')) END,
                   ident, most);
    GET DIAGNOSTICS copied = ROW_COUNT;
    IF copied > 0 THEN
        RETURN NEXT;
        RETURN;
    END IF;
    -- All is copied, but for what came in between: rows that were deleted since are forgotten, rows that are copied
    -- leave the default partition, and with the parent locked the few others follow.
    EXECUTE format('DELETE FROM %I AS copy WHERE NOT EXISTS (SELECT FROM %I AS kept WHERE %s AND (%s) = (%s))',
                   month.child, spare, replace(rest, quote_ident(month.key), 'kept.' || quote_ident(month.key)),
                   'copy.' || replace(ident, ', ', ', copy.'), 'kept.' || replace(ident, ', ', ', kept.'));
    EXECUTE format('DELETE FROM %I AS kept USING %I AS copy WHERE (%s) = (%s)',
                   spare, month.child, 'copy.' || replace(ident, ', ', ', copy.'),
                   'kept.' || replace(ident, ', ', ', kept.'));
    GET DIAGNOSTICS gone = ROW_COUNT;
    EXECUTE format('SELECT count(*) FROM %I', month.child) INTO held;
    IF gone <> held THEN
        RAISE EXCEPTION 'rows of % changed while they were moved; it is tried again', month.child
            USING ERRCODE = 'serialization_failure';
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', month.parent);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %s RETURNING *) INSERT INTO %I SELECT * FROM moved',
                   spare, rest, month.child);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   month.parent, month.child, month.low, month.high);
    attached := true;
    RETURN NEXT;
END
$$;

-- What senders write otherwise than is documented: in actions that are taken all the same, and in what becomes a letter
-- at the data collector's door. A line a batch for each sort of it, never changed, so that workers don't wait for each
-- other; hourly the lines of one sort become one. Repeated messages are not counted again.
CREATE TABLE drift (
    -- The kind of message.
    kind       text        NOT NULL,
    -- The door by which it came.
    door       text        NOT NULL,
    -- The member, one that our schemas name; `unknown member` stands for all others, `message` for the whole of it.
    member     text        NOT NULL,
    -- What is otherwise: what the schema asks of it, `unknown` for a member that is not documented, or `unreadable`.
    difference text        NOT NULL CHECK (difference IN (
        'type', 'enum', 'pattern', 'missing', 'time', 'name', 'unknown', 'unreadable', 'other'
    )),
    -- How many messages.
    count      bigint      NOT NULL CHECK (count > 0),
    -- One of the values, or the name of an unknown member, or what was said of it; cut short.
    example    text        NOT NULL,
    -- Since when.
    first_seen timestamptz NOT NULL DEFAULT now(),
    -- The latest.
    last_seen  timestamptz NOT NULL DEFAULT now()
);

-- Actions that were stored before their run was known, by the hour; counted once it is past, minute by minute.
CREATE TABLE late_runs (
    -- By the time at which the actions were stored.
    hour        timestamptz PRIMARY KEY,
    -- How far it is counted; at its end the count is final.
    counted_to  timestamptz NOT NULL,
    -- Stored actions whose run became known within a minute of them, when it was too late to leave them out.
    actions     bigint      NOT NULL,
    -- Those of them by which a node registered: a first run's `client create` and `node create` come before its start.
    registering bigint      NOT NULL CHECK (registering <= actions)
);

-- A row of each supervisor, written every few seconds; gone once it has ended in order.
CREATE TABLE supervisors (
    -- The machine's name, as `hostname` says it.
    host     text        NOT NULL,
    -- Of its control socket: it tells supervisors of one machine apart.
    folder   text        NOT NULL,
    -- When it wrote this last.
    heard_at timestamptz NOT NULL DEFAULT now(),
    -- What it says of itself and its workers, as `status --output json` shows it.
    said     json        NOT NULL,
    -- What somebody on another machine asks of it, with a number.
    request  json,
    -- Since when.
    asked_at timestamptz,
    -- What came of it, with the same number.
    answer   json,
    PRIMARY KEY (host, folder)
) WITH (fillfactor = 50);

-- How the system went: a row a minute of each supervisor and each shim, for two hours.
CREATE TABLE samples (
    -- When it began.
    minute  timestamptz NOT NULL,
    -- The machine's name, as `hostname` says it.
    host    text        NOT NULL,
    -- What runs there: `consume` or `serve`, and the number of its process.
    process text        NOT NULL,
    -- What it counted in that minute, and what it saw at its end.
    said    json        NOT NULL,
    PRIMARY KEY (minute, host, process)
) WITH (fillfactor = 50);

-- Queues that operators hold back: no worker consumes them.
CREATE TABLE pauses (
    -- Its name; empty: every queue with messages to store.
    queue text        NOT NULL,
    -- The machine whose workers hold it back; empty: everywhere.
    host  text        NOT NULL,
    -- Who said so.
    who   text        NOT NULL,
    -- And why.
    why   text        NOT NULL,
    -- And when.
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, host)
);
