-- What Analytics' routes read of actions; loaded by consumers/database/statements.py, which fills in the row's columns.

-- name: action
-- One action by its id, of any organization or of these, columns in the order of ActionRow, each as text.
SELECT {texts ActionRow a}
FROM action_ids AS i
JOIN actions AS a ON (a.recorded_at, a.id) = (i.recorded_at, i.id)
WHERE i.id = %(id)s::uuid
  AND (%(organizations)s::text[] IS NULL OR a.organization_name = ANY(%(organizations)s::text[]));

-- name: actions
-- A page of an organization's actions, newest first, without what is large.
SELECT {texts ActionRow a but data extra},
       to_char(a.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS place_time,
       a.id::text AS place_id
FROM actions AS a
WHERE a.organization_name = %(organization)s::text
  AND (%(since)s::timestamptz IS NULL OR a.recorded_at >= %(since)s::timestamptz)
  AND (%(before)s::timestamptz IS NULL OR a.recorded_at < %(before)s::timestamptz)
  AND (%(place_time)s::timestamptz IS NULL
       OR (a.recorded_at, a.id) < (%(place_time)s::timestamptz, %(place_id)s::uuid))
  AND (%(entity_type)s::text IS NULL OR a.entity_type = %(entity_type)s::text)
  AND (%(entity_name)s::text IS NULL OR a.entity_name = %(entity_name)s::text)
  AND (%(parent_type)s::text IS NULL OR a.parent_type = %(parent_type)s::text)
  AND (%(parent_name)s::text IS NULL OR a.parent_name = %(parent_name)s::text)
  AND (%(task)s::text IS NULL OR a.task = %(task)s::text)
  AND (%(requestor_type)s::text IS NULL OR a.requestor_type = %(requestor_type)s::text)
  AND (%(requestor_name)s::text IS NULL OR a.requestor_name = %(requestor_name)s::text)
  AND (%(remote_request_id)s::text IS NULL OR a.remote_request_id = %(remote_request_id)s::text)
ORDER BY a.recorded_at DESC, a.id DESC
OFFSET %(start)s::bigint LIMIT %(rows)s::bigint;
