-- What operators read and change of dead letters; `{where}` is a selector's condition; loaded by consumers/database/statements.py.

-- name: letters
SELECT id, state, stage, reason, details, sqlstate, fingerprint, kind, door, organization, node, run_id, exchange,
       routing_key, content_encoding, properties, payload, edited_payload, edited_encoding, attempts, replays,
       failed_replays, first_seen, last_seen, worker_version, resolution, edited_envelope, sender, entity, requestor
FROM dead_letters WHERE {where} ORDER BY id LIMIT %(limit)s;

-- name: listed
-- Letters without their payloads.
SELECT id, state, stage, reason, kind, door, organization, node, run_id, fingerprint, attempts, failed_replays,
       first_seen, last_seen, octet_length(payload) AS bytes, edited_payload IS NOT NULL OR edited_envelope IS NOT NULL AS edited, sqlstate, details,
       sent_by, sender, entity, requestor
FROM dead_letters WHERE {where} ORDER BY {order} LIMIT %(limit)s;

-- name: counted
SELECT count(*) AS letters FROM dead_letters WHERE {where};

-- name: count_of
SELECT count(*) FROM ({query}) AS counted;

-- name: groups
-- Letters with the same cause, the largest group first; the newest of each as its sample.
SELECT cause.fingerprint, cause.letters, cause.open, cause.first_seen, cause.last_seen, sample.kind, sample.stage,
       sample.reason, sample.id AS sample, sample.details, cause.nodes, cause.organizations, cause.senders, note.text AS note,
       note.who AS noted_by, note.noted_at
FROM (
    SELECT fingerprint, count(*) AS letters, count(*) FILTER (WHERE state = 'open') AS open,
           min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(id) AS newest,
           count(DISTINCT node) AS nodes, count(DISTINCT organization) AS organizations,
           count(DISTINCT sent_by) AS senders
    FROM dead_letters WHERE {where} GROUP BY fingerprint
) AS cause JOIN dead_letters AS sample ON sample.id = cause.newest
LEFT JOIN dead_letter_notes AS note ON note.fingerprint = cause.fingerprint
ORDER BY cause.letters DESC, cause.fingerprint LIMIT %(limit)s;

-- name: groups_by
-- Letters that have the same in one column, the largest group first.
SELECT {order} AS value, count(*) AS letters, count(*) FILTER (WHERE state = 'open') AS open,
       count(DISTINCT fingerprint) AS causes, count(DISTINCT node) AS nodes,
       count(DISTINCT organization) AS organizations, count(DISTINCT sent_by) AS senders,
       min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM dead_letters WHERE {where} GROUP BY {order} ORDER BY letters DESC, value LIMIT %(limit)s;

-- name: causes_beginning
SELECT DISTINCT fingerprint FROM dead_letters WHERE fingerprint ^@ %(fingerprint)s LIMIT 2;

-- name: write_note
INSERT INTO dead_letter_notes (fingerprint, text, who) VALUES (%(fingerprint)s, %(text)s, %(who)s)
ON CONFLICT (fingerprint) DO UPDATE SET text = excluded.text, who = excluded.who, noted_at = now();

-- name: remove_note
DELETE FROM dead_letter_notes WHERE fingerprint = %(fingerprint)s;

-- name: events
SELECT at, what, who, why, details, replay FROM dead_letter_events WHERE letter_id = %(id)s ORDER BY at, id;

-- name: stats
SELECT state, stage, reason, letters, attempts, first_seen, last_seen, bytes, (
    SELECT string_agg(DISTINCT note.text, '; ' ORDER BY note.text) FROM dead_letter_notes AS note
    WHERE note.fingerprint = ANY (counted.fingerprints)
) AS notes
FROM (
    SELECT state, stage, reason, count(*) AS letters, sum(attempts) AS attempts, min(first_seen) AS first_seen,
           max(last_seen) AS last_seen, sum(octet_length(payload)) AS bytes,
           array_agg(DISTINCT fingerprint) AS fingerprints
    FROM dead_letters WHERE {where} GROUP BY state, stage, reason
) AS counted ORDER BY state, letters DESC, stage, reason;

-- name: change_state
-- A person's decision about letters in the states `from_states`; as many rows as letters were changed.
WITH picked AS (
    SELECT id, state AS was FROM dead_letters
    WHERE {where} AND state = ANY (%(from_states)s::text[])
    ORDER BY id LIMIT %(limit)s FOR UPDATE
), changed AS (
    UPDATE dead_letters AS letter
    SET state = %(to_state)s,
        failed_replays = CASE %(to_state)s::text WHEN 'open' THEN 0 ELSE failed_replays END
    FROM picked WHERE letter.id = picked.id RETURNING letter.id, picked.was
)
INSERT INTO dead_letter_events (letter_id, what, who, why, details)
SELECT id, %(what)s, %(who)s, %(why)s, json_build_object('was', was) FROM changed;

-- name: edit
-- What replays send from now on; what was received stays as it is.
WITH changed AS (
    UPDATE dead_letters SET edited_payload = %(payload)s, edited_encoding = %(encoding)s,
        edited_envelope = %(envelope)s::json, replay_key = %(key)s
    WHERE id = %(id)s AND state IN ('open', 'parked') RETURNING id
)
INSERT INTO dead_letter_events (letter_id, what, who, why, details)
SELECT id, 'edited', %(who)s, %(why)s, %(details)s::json FROM changed;

-- name: doomed
-- What a prune takes: settled letters by age, then the oldest beyond the cap, settled ones first. Unsettled ones
-- only where that was asked for; a replay under way never.
WITH ranked AS (
    SELECT id, greatest(last_seen, replayed_at) AS touched, state IN ('resolved', 'discarded') AS settled,
           row_number() OVER (
               ORDER BY state IN ('resolved', 'discarded') DESC, greatest(last_seen, replayed_at), id) AS position,
           count(*) OVER () AS total
    FROM dead_letters
)
SELECT id, state, octet_length(payload) AS bytes FROM dead_letters
WHERE {where} AND state <> 'replaying' AND id IN (
    SELECT id FROM ranked
    WHERE (settled OR %(unsettled_too)s) AND (
        (%(keep_days)s::int > 0 AND touched < now() - make_interval(days => %(keep_days)s::int))
        OR (%(most)s::int > 0 AND position <= total - %(most)s::int)))
ORDER BY id;

-- name: import_letter
WITH letter AS (
    INSERT INTO dead_letters (
        message_key, replay_key, state, stage, reason, details, sqlstate, fingerprint, kind, door, organization,
        node, run_id, exchange, routing_key, content_encoding, properties, payload, edited_payload,
        edited_encoding, attempts, failed_replays, first_seen, last_seen, worker_version, resolution,
        edited_envelope, sender, sent_by, entity, requestor, plain)
    VALUES (
        %(message_key)s, %(replay_key)s, %(state)s, %(stage)s, %(reason)s, %(details)s::json, %(sqlstate)s,
        %(fingerprint)s, %(kind)s, %(door)s, %(organization)s, %(node)s, %(run_id)s, %(exchange)s,
        %(routing_key)s, %(content_encoding)s, %(properties)s::json, %(payload)s, %(edited_payload)s,
        %(edited_encoding)s, %(attempts)s, %(failed_replays)s, %(first_seen)s, %(last_seen)s,
        %(worker_version)s, %(resolution)s::json, %(edited_envelope)s::json, %(sender)s::json,
        %(sent_by)s, %(entity)s, %(requestor)s, %(plain)s)
    ON CONFLICT (message_key) DO NOTHING RETURNING id, state, attempts, failed_replays, first_seen
), acknowledged AS (
    -- It is counted as a letter of its hour from now on, so it is counted as taken, then.
    INSERT INTO acknowledgements (counted_at, door, outcome, count)
    SELECT first_seen, 'import', 'taken', attempts - failed_replays - (state = 'resolved')::integer FROM letter
    WHERE attempts - failed_replays - (state = 'resolved')::integer > 0
)
INSERT INTO dead_letter_events (letter_id, what, who, why, details)
SELECT id, 'imported', %(who)s, %(why)s, json_build_object('file', %(file)s::text) FROM letter;

-- name: runs_begun
-- The runs of a node that began at a time, by its own clock.
SELECT run_id::text FROM runs
WHERE organization = %(organization)s AND node_name = %(node)s AND start_time = %(start_time)s::timestamptz LIMIT 9;

-- name: imported
-- What came from a file into the queue was taken, by nobody's shim.
INSERT INTO acknowledgements (door, outcome, count) VALUES ('import', 'taken', %(count)s);
