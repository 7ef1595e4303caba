-- What operators look up of letters; `{where}` is a selector's condition; loaded by consumers/database/statements.py.

-- name: listed
-- A page of letters without their payloads, the newest first.
SELECT id, state, stage, reason, kind, door, organization, node, fingerprint, attempts, failed_replays, first_seen, last_seen,
       octet_length(payload) AS bytes, edited_payload IS NOT NULL OR edited_envelope IS NOT NULL AS edited, details,
       sent_by, sender, entity, requestor
FROM dead_letters WHERE {where} AND (%(before)s::bigint IS NULL OR id < %(before)s::bigint)
ORDER BY id DESC LIMIT %(rows)s::bigint;

-- name: causes
-- Letters of one cause together, the largest group first; the newest of each as its example.
SELECT cause.*, example.kind, example.stage, example.reason, example.details, note.text AS note, note.who AS noted_by,
       note.noted_at
FROM (
    SELECT fingerprint, count(*) AS letters, count(*) FILTER (WHERE state = 'open') AS open,
           count(*) FILTER (WHERE first_seen > now() - interval '1 day') AS new,
           count(DISTINCT organization) AS organizations, count(DISTINCT node) AS nodes,
           count(DISTINCT sent_by) AS senders,
           array_agg(DISTINCT door ORDER BY door) AS doors,
           min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(id) AS example_id
    FROM dead_letters WHERE {where} GROUP BY fingerprint
) AS cause JOIN dead_letters AS example ON example.id = cause.example_id
LEFT JOIN dead_letter_notes AS note ON note.fingerprint = cause.fingerprint
ORDER BY cause.letters DESC, cause.fingerprint LIMIT %(rows)s::bigint;

-- name: shares
-- Of some causes, what most of their letters have.
SELECT fingerprint, member, value, letters
FROM (
    SELECT fingerprint, at, member, value, count(*) AS letters,
           row_number() OVER (PARTITION BY fingerprint, at ORDER BY count(*) DESC, value) AS position
    FROM dead_letters
    CROSS JOIN LATERAL (
        VALUES (1, 'organization', organization), (2, 'node', node), (3, 'sender', sent_by)
    ) AS each (at, member, value)
    WHERE {where} AND fingerprint = ANY (%(among)s::text[]) AND value IS NOT NULL
    GROUP BY fingerprint, at, member, value
) AS ranked
WHERE position <= %(most)s::bigint ORDER BY fingerprint, at, position;

-- name: neighbours
-- The letters of the same cause before and after one.
SELECT (SELECT max(id) FROM dead_letters WHERE fingerprint = %(fingerprint)s::text AND id < %(id)s::bigint) AS older,
       (SELECT min(id) FROM dead_letters WHERE fingerprint = %(fingerprint)s::text AND id > %(id)s::bigint) AS newer;

-- name: choices
-- What letters can be told apart by, the most frequent first.
(SELECT 'organizations' AS member, organization AS value, count(*) AS letters FROM dead_letters WHERE organization IS NOT NULL
 GROUP BY organization ORDER BY count(*) DESC, organization LIMIT %(most)s::bigint)
UNION ALL
(SELECT 'nodes', node, count(*) FROM dead_letters WHERE node IS NOT NULL
 GROUP BY node ORDER BY count(*) DESC, node LIMIT %(most)s::bigint)
UNION ALL
(SELECT 'reasons', reason, count(*) FROM dead_letters WHERE reason IS NOT NULL
 GROUP BY reason ORDER BY count(*) DESC, reason LIMIT %(most)s::bigint)
UNION ALL
(SELECT 'kinds', kind, count(*) FROM dead_letters WHERE kind IS NOT NULL
 GROUP BY kind ORDER BY count(*) DESC, kind LIMIT %(most)s::bigint)
UNION ALL
(SELECT 'senders', sent_by, count(*) FROM dead_letters WHERE sent_by IS NOT NULL
 GROUP BY sent_by ORDER BY count(*) DESC, sent_by LIMIT %(most)s::bigint)
UNION ALL
(SELECT 'requestors', requestor, count(*) FROM dead_letters WHERE requestor IS NOT NULL
 GROUP BY requestor ORDER BY count(*) DESC, requestor LIMIT %(most)s::bigint);
