-- The statements of nodes; loaded by consumers/database/statements.py, which fills in the row's columns.

-- name: insert_nodes
-- Nodes that are new; one that is there already is locked then, as all are.
INSERT INTO nodes (organization, name)
SELECT * FROM unnest(%(organizations)s::text[], %(names)s::text[])
ON CONFLICT (organization, name) DO NOTHING;

-- name: lock_nodes
-- In one order for everybody, so that two workers never deadlock; without the node object, which is large.
SELECT {texts NodeState n but node}
FROM unnest(%(organizations)s::text[], %(names)s::text[]) AS wanted (organization, name)
JOIN nodes n ON n.organization = wanted.organization AND n.name = wanted.name
ORDER BY n.organization, n.name FOR UPDATE OF n;

-- name: update_node
UPDATE nodes SET {changes NodeState but organization name node}, node = coalesce(%(node)s::json, node), last_seen = now()
WHERE organization = %(organization)s AND name = %(name)s;

-- name: delete_node
DELETE FROM nodes WHERE organization = %(organization)s AND name = %(name)s;
