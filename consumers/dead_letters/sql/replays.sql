-- The steps of a replay: a run, and in it claim, mark or release; loaded by consumers/database/statements.py.

-- name: replay_start
INSERT INTO dead_letter_replays (request, selector, newest, who, why)
SELECT %(request)s, %(selector)s::json, coalesce(max(id), 0), %(who)s, %(why)s FROM dead_letters
RETURNING id, started_at, newest, selector;

-- name: replay_unfinished
SELECT id, started_at, newest, selector, who FROM dead_letter_replays
WHERE request = %(request)s AND finished_at IS NULL ORDER BY id DESC;

-- name: replay_hold
-- A run is alive as long as somebody's session holds this lock: no clock decides whether its claims are abandoned.
SELECT pg_try_advisory_lock(%(space)s::integer, %(run)s::integer) AS held;

-- name: replay_let_go
SELECT pg_advisory_unlock(%(space)s::integer, %(run)s::integer);

-- name: replay_quick
-- A mark that a crash of the server loses repeats a message, which idempotence absorbs.
SELECT set_config('synchronous_commit', 'off', false);

-- name: replay_finish
UPDATE dead_letter_replays SET finished_at = now() WHERE id = %(run)s AND finished_at IS NULL;

-- name: replay_sent
SELECT count(*) AS sent FROM dead_letters WHERE replay_run = %(run)s AND replayed_at >= %(started)s;

-- name: replay_candidates
-- The next letters a run would claim. Those that it, or anybody since it began, has replayed are done with. One
-- that is `replaying` has been sent and waits for its outcome (again only on demand), or was claimed and not sent.
SELECT id, state, stage, reason, details, sqlstate, fingerprint, kind, door, organization, node, run_id, exchange,
       routing_key, content_encoding, properties, payload, edited_payload, edited_encoding, attempts, replays,
       failed_replays, first_seen, last_seen, worker_version, resolution, edited_envelope
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
    WHERE id = %(id)s AND state = 'replaying' AND replay_run = %(run)s AND replays = %(replay)s
)
INSERT INTO dead_letter_events (letter_id, at, what, who, why, details)
SELECT id, least(claimed_at, now()), 'replayed', %(who)s, %(why)s,
       json_build_object('replay', %(replay)s::int, 'run', %(run)s::int)
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
SELECT state, coalesce(resolution ->> 'code', reason) AS became, count(*) AS letters
FROM dead_letters WHERE replay_run = %(run)s AND replayed_at >= %(started)s GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2;
