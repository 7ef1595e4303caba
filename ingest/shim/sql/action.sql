-- One action by its id, columns in the order of ActionRow, each as text.
SELECT a.id::text AS id,
       to_char(a.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS recorded_at,
       a.organization_name,
       a.entity_type,
       a.entity_name,
       a.parent_type,
       a.parent_name,
       a.task,
       a.requestor_type,
       a.requestor_name,
       a.remote_hostname,
       a.remote_request_id,
       a.request_id,
       a.service_hostname,
       a.user_agent,
       a.message_type,
       a.message_version,
       a.data::text AS data,
       a.extra::text AS extra
FROM action_ids AS i
JOIN actions AS a ON (a.recorded_at, a.id) = (i.recorded_at, i.id)
WHERE i.id = %(id)s::uuid
