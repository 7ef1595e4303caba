-- One run of a node in an organization.
SELECT r.run_id::text AS run_id,
       r.organization,
       r.node_name,
       r.status,
       to_char(r.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start_time,
       to_char(r.end_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS end_time,
       r.run_list,
       r.total_res_count,
       r.updated_res_count,
       r.data::text AS data,
       -- Whether bytes are marked in what its end told.
       starts_with(concat(r.end_extra), %(flag)s::text) OR starts_with(concat(r.collector_end_extra), %(flag)s::text) AS strays
FROM runs AS r
WHERE r.run_id = %(run_id)s::uuid AND r.organization = %(organization)s AND r.node_name = %(node)s
