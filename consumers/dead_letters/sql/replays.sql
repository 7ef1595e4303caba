-- Replays as things, and the steps of one: in it claim, mark or release; loaded by consumers/database/statements.py.

-- name: replay_start
INSERT INTO dead_letter_replays (request, selector, newest, who, why, name, accepts, rate, until_failures)
SELECT %(request)s, %(selector)s::json, coalesce(max(id), 0), %(who)s, %(why)s, %(name)s, %(accepts)s,
       %(rate)s::real, %(until_failures)s::integer
FROM dead_letters RETURNING id;

-- name: replays
-- Each with what became of its letters so far: of those that are still kept. One that was sent by a process which was
-- killed before it could say so was sent all the same.
SELECT replay.id AS number, replay.name, replay.state AS said, replay.wanted, replay.accepts, replay.rate,
       replay.until_failures, replay.selector, replay.newest, replay.who, replay.why, replay.host,
       replay.started_at AS started, replay.heard_at AS heard, replay.finished_at AS ended, replay.wanted_by,
       replay.wanted_why, replay.total, replay.looked_at, replay.passed_over, replay.not_taken,
       outcome.sent, outcome.resolved, outcome.failed, under_way.waiting,
       EXISTS (
           SELECT FROM pg_locks
           WHERE locktype = 'advisory' AND classid = %(space)s::oid AND objid = replay.id::oid AND objsubid = 2
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted
       ) AS alive
FROM dead_letter_replays AS replay
CROSS JOIN LATERAL (
    SELECT count(DISTINCT letter_id) AS sent, count(*) FILTER (WHERE what = 'resolved') AS resolved,
           count(*) FILTER (WHERE what = 'failed again') AS failed
    FROM dead_letter_events WHERE dead_letter_events.replay = replay.id
) AS outcome
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM dead_letters
    WHERE replay_run = replay.id AND dead_letters.state = 'replaying' AND replayed_at >= claimed_at
) AS under_way
WHERE {where} ORDER BY replay.id DESC LIMIT %(limit)s;

-- name: replay_take
-- Whoever takes it up begins where it stopped; what had been wanted of it before is done with.
UPDATE dead_letter_replays SET state = 'running', finished_at = NULL, wanted = 'run', wanted_by = NULL,
    wanted_why = NULL, rate = %(rate)s::real, until_failures = %(until_failures)s::integer
WHERE id = %(run)s;

-- name: replay_total
UPDATE dead_letter_replays SET total = %(total)s::bigint WHERE id = %(run)s;

-- name: replay_tell
-- How far it is, and in the same breath what is wanted of it.
UPDATE dead_letter_replays SET state = %(state)s, heard_at = clock_timestamp(), host = %(host)s,
    finished_at = CASE WHEN %(state)s IN ('stopped', 'done') THEN clock_timestamp() END,
    looked_at = %(looked_at)s, passed_over = %(passed_over)s, not_taken = %(not_taken)s
WHERE id = %(run)s RETURNING wanted;

-- name: replay_wish
UPDATE dead_letter_replays SET wanted = %(wanted)s, wanted_by = %(who)s, wanted_why = %(why)s WHERE id = %(run)s;

-- name: replay_give_up
UPDATE dead_letter_replays SET state = 'stopped', finished_at = now() WHERE id = %(run)s AND finished_at IS NULL;

-- name: replay_hold
-- A run is alive as long as somebody's session holds this lock: no clock decides whether its claims are abandoned.
SELECT pg_try_advisory_lock(%(space)s::integer, %(run)s::integer) AS held;

-- name: replay_let_go
SELECT pg_advisory_unlock(%(space)s::integer, %(run)s::integer);

-- name: replay_session
-- A mark that a crash of the server loses repeats a message, which idempotence absorbs. And of a machine that is gone
-- the server learns in seconds, so that its replay is told as interrupted and can be taken up.
SELECT set_config('synchronous_commit', 'off', false), set_config('tcp_keepalives_idle', '10', false),
       set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false);

-- name: replay_sent
SELECT count(DISTINCT letter_id) AS sent FROM dead_letter_events WHERE replay = %(run)s;

-- name: replay_failures
-- How many of its letters have failed again, and of how many that is not known yet.
SELECT (SELECT count(*) FROM dead_letter_events WHERE replay = %(run)s AND what = 'failed again') AS failed,
       (SELECT count(*) FROM dead_letters
        WHERE replay_run = %(run)s AND state = 'replaying' AND replayed_at >= claimed_at) AS waiting;

-- name: replay_candidates
-- The next letters a run would claim. Those that it, or anybody since it began, has replayed are done with. One
-- that is `replaying` has been sent and waits for its outcome (again only on demand), or was claimed and not sent.
SELECT id, state, stage, reason, details, sqlstate, fingerprint, kind, door, organization, node, run_id, exchange,
       routing_key, content_encoding, properties, payload, edited_payload, edited_encoding, attempts, replays,
       failed_replays, first_seen, last_seen, worker_version, resolution, edited_envelope, sender, entity, requestor
FROM dead_letters
WHERE {where} AND id > %(after)s AND id <= %(newest)s AND (replayed_at IS NULL OR replayed_at < %(started)s)
  AND (state = ANY (%(states)s::text[])
       OR (state = 'replaying' AND (%(resend)s OR replayed_at IS NULL OR replayed_at < claimed_at)))
ORDER BY id LIMIT %(limit)s;

-- name: replay_claim
-- Of the candidates, those that nobody else has. A claim that was not sent is free again when the run that made
-- it is dead: then its lock can be had. Its number is kept, so that a copy which was sent after all counts once.
WITH picked AS (
    SELECT id FROM dead_letters
    WHERE id = ANY (%(claimed)s::bigint[]) AND (replayed_at IS NULL OR replayed_at < %(started)s)
      AND CASE
          WHEN state <> 'replaying' THEN state = ANY (%(states)s::text[])
          WHEN replayed_at >= claimed_at THEN %(resend)s
          ELSE pg_try_advisory_xact_lock(%(space)s::integer, replay_run) END
    ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE dead_letters AS letter SET
    replays = CASE WHEN settled_replay = replays OR replayed_at >= claimed_at THEN replays + 1 ELSE replays END,
    claimed_from = CASE state WHEN 'replaying' THEN claimed_from ELSE state END,
    state = 'replaying', replay_run = %(run)s, claimed_at = clock_timestamp()
FROM picked WHERE letter.id = picked.id
RETURNING letter.id, letter.replays;

-- name: replay_mark
-- The broker has it. Its worker may have been faster than we are; then there is nothing left to mark.
WITH marked AS (
    UPDATE dead_letters SET replayed_at = clock_timestamp()
    WHERE id = %(id)s AND state = 'replaying' AND replay_run = %(run)s AND replays = %(attempt)s
)
INSERT INTO dead_letter_events (letter_id, at, what, who, why, details, replay)
SELECT id, least(claimed_at, now()), 'replayed', %(who)s, %(why)s, json_build_object('attempt', %(attempt)s::int),
       %(run)s::int
FROM dead_letters WHERE id = %(id)s;

-- name: replay_release
-- Claimed and not sent: as it was.
UPDATE dead_letters SET state = claimed_from
WHERE id = ANY (%(ids)s::bigint[]) AND state = 'replaying' AND replay_run = %(run)s
  AND (replayed_at IS NULL OR replayed_at < claimed_at);

-- name: replay_settled
-- What became of those that were sent.
SELECT id, state, stage, reason, details, resolution FROM dead_letters
WHERE id = ANY (%(ids)s::bigint[]) AND state <> 'replaying' ORDER BY id;

-- name: replay_outcomes
-- What became of those that it sent, and are still kept.
SELECT outcome, became, count(*) AS letters
FROM (
    SELECT CASE what WHEN 'resolved' THEN 'resolved' ELSE 'failed' END AS outcome,
           coalesce(details ->> 'code', details ->> 'reason') AS became
    FROM dead_letter_events WHERE replay = %(run)s AND what IN ('resolved', 'failed again')
    UNION ALL
    SELECT 'waiting', '' FROM dead_letters
    WHERE replay_run = %(run)s AND state = 'replaying' AND replayed_at >= claimed_at
) AS each GROUP BY outcome, became ORDER BY letters DESC, outcome, became;
