-- What operators ask of partitions; loaded by consumers/database/statements.py.

-- name: list_partitions
SELECT parent.relname, child.relname,
       substring(pg_get_expr(child.relpartbound, child.oid) FROM 'FROM \(''(\d{4}-\d{2}-\d{2})'),
       substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''(\d{4}-\d{2}-\d{2})'),
       greatest(child.reltuples, 0)::bigint, pg_total_relation_size(child.oid)
FROM pg_inherits
JOIN pg_class parent ON parent.oid = inhparent
JOIN pg_class child ON child.oid = inhrelid
WHERE parent.relname = ANY (%(tables)s) AND parent.relkind = 'p'
ORDER BY parent.relname, child.relname;

-- name: partitions_before
-- Those whose whole month lies before; the default partition has no end and never is among them.
SELECT child.relname
FROM pg_inherits
JOIN pg_class parent ON parent.oid = inhparent
JOIN pg_class child ON child.oid = inhrelid
WHERE parent.relname = ANY (%(tables)s) AND parent.relkind = 'p'
  AND substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''')::timestamptz <= %(before)s
ORDER BY child.relname;

-- name: make_ahead
SELECT ingest_make_partitions(date_trunc('month', now())::date, %(months)s::integer);

-- name: fill_partition
-- One step; no row once there is nothing left to do.
SELECT partition, copied, attached
FROM ingest_fill_partition(date_trunc('month', now())::date, %(months)s::integer, %(most)s::integer);

-- name: blocks
SELECT pg_relation_size(%(table)s::regclass) / current_setting('block_size')::bigint;

-- name: lock_timeout
-- For this transaction only.
SELECT set_config('lock_timeout', %(seconds)s::text || 's', true);
