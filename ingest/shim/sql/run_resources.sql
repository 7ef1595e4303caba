-- The resources of a run, in the order the client sent them.
SELECT s.type,
       s.name,
       s.resource_id AS id,
       s.cookbook_name,
       s.cookbook_version,
       s.duration_ms::text AS duration,
       s.before::text AS before,
       s.after::text AS after,
       s.delta,
       s.result
FROM run_resources AS s
JOIN runs AS r ON (r.start_time, r.run_id) = (s.start_time, s.run_id)
WHERE r.run_id = %(run_id)s::uuid
ORDER BY s.position
