-- What operators look up of letters; `{where}` is a selector's condition, `{order}` a sort of it; loaded by consumers/database/statements.py.

-- name: listed
-- A page of letters without their payloads.
SELECT id, state, stage, reason, kind, door, organization, node, fingerprint, attempts, failed_replays, first_seen, last_seen,
       octet_length(payload) AS bytes, edited_payload IS NOT NULL OR edited_envelope IS NOT NULL AS edited, details,
       sent_by, sender, entity, requestor
FROM dead_letters WHERE {where} ORDER BY {order} LIMIT %(rows)s::bigint;

-- name: causes
-- Letters of one cause together, the largest group first; the newest of each as its example. They are counted by all
-- that they are told apart by first: what is counted once each is a sort, and of a hundred thousand letters a long one.
SELECT cause.*, example.kind, example.stage, example.reason, example.details, note.text AS note, note.who AS noted_by,
       note.noted_at
FROM (
    SELECT fingerprint, sum(letters)::bigint AS letters, sum(open)::bigint AS open, sum(new)::bigint AS new,
           count(DISTINCT organization) AS organizations, count(DISTINCT node) AS nodes,
           count(DISTINCT sent_by) AS senders,
           array_agg(DISTINCT door ORDER BY door) AS doors,
           min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(example_id) AS example_id
    FROM (
        SELECT fingerprint, organization, node, sent_by, door, count(*) AS letters,
               count(*) FILTER (WHERE state = 'open') AS open,
               count(*) FILTER (WHERE first_seen > now() - interval '1 day') AS new,
               min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(id) AS example_id
        FROM dead_letters WHERE {where} GROUP BY fingerprint, organization, node, sent_by, door
    ) AS part GROUP BY fingerprint
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
-- What letters can be told apart by, the most frequent first of each; the table is read once for all.
SELECT member, value, letters
FROM (
    SELECT member, value, letters, row_number() OVER (PARTITION BY member ORDER BY letters DESC, value) AS position
    FROM (
        SELECT CASE 0 WHEN grouping(organization) THEN 'organizations' WHEN grouping(node) THEN 'nodes'
                      WHEN grouping(reason) THEN 'reasons' WHEN grouping(kind) THEN 'kinds'
                      WHEN grouping(sent_by) THEN 'senders' ELSE 'requestors' END AS member,
               coalesce(organization, node, reason, kind, sent_by, requestor) AS value, count(*) AS letters
        FROM dead_letters
        GROUP BY GROUPING SETS ((organization), (node), (reason), (kind), (sent_by), (requestor))
    ) AS counted
    WHERE value IS NOT NULL
) AS ranked
WHERE position <= %(most)s::bigint ORDER BY member, position;
