-- What a worker writes of dead letters, each in its batch's own transaction; loaded by consumers/database/statements.py.

-- name: insert_letter
-- One letter a message, however often it comes and whoever sends it again; its number. What was resolved and comes again
-- is open again; what a person has discarded stays discarded. Its event at the 2nd, 4th, 8th ... time only, or a client could fill the table.
WITH before AS (
    SELECT state FROM dead_letters WHERE message_key = %(message_key)s
), letter AS (
    INSERT INTO dead_letters AS letter (
        message_key, replay_key, stage, reason, details, sqlstate, fingerprint, kind, door, organization, node,
        run_id, exchange, routing_key, content_encoding, properties, payload, worker_version, sender, sent_by, entity,
        requestor, plain)
    VALUES (
        %(message_key)s, %(message_key)s, %(stage)s, %(reason)s, %(details)s::json, %(sqlstate)s,
        %(fingerprint)s, %(kind)s, %(door)s, %(organization)s, %(node)s, %(run_id)s, %(exchange)s,
        %(routing_key)s, %(content_encoding)s, %(properties)s::json, %(payload)s, %(worker_version)s,
        %(sender)s::json, %(sent_by)s, %(entity)s, %(requestor)s, %(plain)s)
    ON CONFLICT (message_key) DO UPDATE SET
        attempts = letter.attempts + 1, last_seen = now(),
        state = CASE letter.state WHEN 'resolved' THEN 'open' ELSE letter.state END,
        failed_replays = CASE letter.state WHEN 'resolved' THEN 0 ELSE letter.failed_replays END,
        resolution = NULL,
        stage = excluded.stage, reason = excluded.reason, details = excluded.details,
        sqlstate = excluded.sqlstate, fingerprint = excluded.fingerprint,
        worker_version = excluded.worker_version,
        sender = coalesce(letter.sender, excluded.sender), sent_by = coalesce(letter.sent_by, excluded.sent_by)
    RETURNING letter.id, letter.attempts, (SELECT state FROM before) AS was
), noted AS (
    INSERT INTO dead_letter_events (letter_id, what, who, details)
    SELECT id, CASE WHEN was IS NULL THEN 'opened' WHEN was = 'resolved' THEN 'reopened' ELSE 'seen again' END,
           %(who)s, json_build_object('reason', %(reason)s::text, 'attempts', attempts)
    FROM letter
    WHERE was IS NULL OR was = 'resolved' OR attempts & (attempts - 1) = 0
)
SELECT id FROM letter;

-- name: lock_replayed
-- The letters that a batch's replays name, in one order for everybody.
SELECT id, replay_key, replays, settled_replay
FROM dead_letters WHERE id = ANY (%(ids)s::bigint[]) ORDER BY id FOR UPDATE;

-- name: fail_replay
-- A replay that failed: the letter's latest reason. A letter whose later replay is still on its way waits for it.
WITH letter AS (
    UPDATE dead_letters AS letter SET
        attempts = attempts + 1, failed_replays = failed_replays + 1, settled_replay = %(replay)s,
        last_seen = now(), replayed_at = CASE replays WHEN %(replay)s THEN now() ELSE replayed_at END,
        stage = %(stage)s, reason = %(reason)s, details = %(details)s::json, sqlstate = %(sqlstate)s,
        fingerprint = %(fingerprint)s, worker_version = %(worker_version)s,
        state = CASE
            WHEN state NOT IN ('open', 'replaying') OR (state = 'replaying' AND replays > %(replay)s) THEN state
            WHEN failed_replays + 1 >= %(max_replays)s THEN 'parked'
            WHEN state = 'replaying' AND claimed_from = 'parked' THEN 'parked'
            ELSE 'open' END
    WHERE id = %(id)s
    RETURNING id, state, failed_replays, claimed_from, CASE replays WHEN %(replay)s THEN replay_run END AS by_replay
)
INSERT INTO dead_letter_events (letter_id, what, who, details, replay)
SELECT id, 'failed again', %(who)s, json_build_object('attempt', %(replay)s::int, 'reason', %(reason)s::text), by_replay
FROM letter
UNION ALL
SELECT id, 'parked', %(who)s, json_build_object('failed_replays', failed_replays), NULL FROM letter
WHERE state = 'parked' AND claimed_from IS DISTINCT FROM 'parked';

-- name: resolve_letter
-- A replay that was stored, or that a rule keeps from being stored: with what it became. All its copies are settled.
WITH letter AS (
    UPDATE dead_letters SET
        state = 'resolved', resolution = %(resolution)s::json, settled_replay = replays, replayed_at = now()
    WHERE id = %(id)s AND state IN ('open', 'replaying', 'parked')
    RETURNING id, replay_run
)
INSERT INTO dead_letter_events (letter_id, what, who, details, replay)
SELECT id, 'resolved', %(who)s, %(resolution)s::json, replay_run FROM letter;

-- name: known_letters
SELECT message_key FROM dead_letters WHERE message_key = ANY (%(keys)s::bytea[]);

-- name: letters_of_hour
-- New letters in this hour of some organizations, and of all: the line without a name.
SELECT organization, sum(letters)::bigint FROM letter_counts
WHERE hour = date_trunc('hour', now()) AND organization = ANY (%(names)s::text[]) GROUP BY organization
UNION ALL
SELECT NULL, coalesce(sum(letters), 0)::bigint FROM letter_counts WHERE hour = date_trunc('hour', now());

-- name: count_letters
INSERT INTO letter_counts (organization, letters) VALUES (%(organization)s, %(letters)s);

-- name: how_many
SELECT count(*) FROM dead_letters;

-- name: settled_letters
-- The oldest that somebody, or a replay, has settled; others may be at the same.
SELECT id FROM dead_letters
WHERE state IN ('resolved', 'discarded')
  AND (%(keep_days)s::int = 0
       OR greatest(last_seen, replayed_at) < now() - make_interval(days => %(keep_days)s::int))
ORDER BY greatest(last_seen, replayed_at), id LIMIT %(most)s FOR UPDATE SKIP LOCKED;

-- name: prune
-- Letters go with their events; one event tells of it, and the ledger goes on counting them in their hours.
WITH gone AS (
    DELETE FROM dead_letters WHERE id = ANY (%(ids)s::bigint[]) AND state <> 'replaying'
    RETURNING id, state, first_seen, attempts - failed_replays - (state = 'resolved')::integer AS messages
), gone_events AS (
    DELETE FROM dead_letter_events WHERE letter_id IN (SELECT id FROM gone)
), counted AS (
    INSERT INTO tallies (counted_at, outcome, count)
    SELECT date_trunc('hour', first_seen), 'pruned', sum(messages) FROM gone GROUP BY 1 HAVING sum(messages) > 0
)
INSERT INTO dead_letter_events (what, who, why, details)
SELECT 'pruned', %(who)s, %(why)s, json_object_agg(state, letters)
FROM (SELECT state, count(*) AS letters FROM gone GROUP BY state) AS by_state HAVING count(*) > 0
RETURNING details;
