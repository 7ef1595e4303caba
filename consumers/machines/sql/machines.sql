-- What machines leave for each other; loaded by consumers/database/statements.py.

-- name: pauses
SELECT queue, host, who, why, since FROM pauses ORDER BY queue, host;

-- name: pause
INSERT INTO pauses (queue, host, who, why)
SELECT queue, %(host)s, %(who)s, %(why)s FROM unnest(%(queues)s::text[]) AS named (queue)
ON CONFLICT (queue, host) DO NOTHING
RETURNING queue;

-- name: resume
DELETE FROM pauses WHERE queue = ANY (%(queues)s::text[]) AND host = %(host)s
RETURNING queue, host, who, why, since;

-- name: tell
-- A row is written again and again, in its page.
INSERT INTO supervisors (host, folder, said) VALUES (%(host)s, %(folder)s, %(said)s::json)
ON CONFLICT (host, folder) DO UPDATE SET said = EXCLUDED.said, heard_at = now()
RETURNING CASE WHEN asked_at > now() - %(patience)s * interval '1 second' THEN request END;

-- name: answer
UPDATE supervisors SET request = NULL, answer = %(answer)s::json
WHERE host = %(host)s AND folder = %(folder)s AND request ->> 'number' = %(number)s;

-- name: leave
DELETE FROM supervisors WHERE host = %(host)s AND folder = %(folder)s;

-- name: forget
DELETE FROM supervisors WHERE host = %(host)s AND heard_at < now() - %(silent)s * interval '1 second'
RETURNING folder;

-- name: supervisors
SELECT host, folder, extract(epoch FROM now() - heard_at)::float AS silent_seconds, said
FROM supervisors ORDER BY host, folder;

-- name: ask
UPDATE supervisors SET request = %(request)s::json, asked_at = now(), answer = NULL
WHERE host = %(host)s AND folder = %(folder)s
    AND (request IS NULL OR asked_at < now() - %(patience)s * interval '1 second')
RETURNING host;

-- name: withdraw
UPDATE supervisors SET request = NULL
WHERE host = %(host)s AND folder = %(folder)s AND request ->> 'number' = %(number)s;

-- name: answered
SELECT answer FROM supervisors
WHERE host = %(host)s AND folder = %(folder)s AND answer ->> 'number' = %(number)s;

-- name: sample
-- A minute's row is written again while the minute lasts, in its page.
INSERT INTO samples (minute, host, process, said)
VALUES (to_timestamp(%(minute)s), %(host)s, %(process)s, %(said)s::json)
ON CONFLICT (minute, host, process) DO UPDATE SET said = EXCLUDED.said
WHERE samples.said::text <> EXCLUDED.said::text;

-- name: prune_samples
DELETE FROM samples WHERE minute < now() - interval '2 hours';

-- name: samples
-- Those of the latest minutes, and how many minutes ago each was.
SELECT (extract(epoch FROM date_trunc('minute', now()) - minute) / 60)::int AS ago, said
FROM samples WHERE minute > date_trunc('minute', now()) - %(minutes)s * interval '1 minute'
ORDER BY minute LIMIT 50000;
