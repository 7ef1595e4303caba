-- One action by its id, columns in the order of ActionRow, each as text.
SELECT {texts ActionRow a}
FROM action_ids AS i
JOIN actions AS a ON (a.recorded_at, a.id) = (i.recorded_at, i.id)
WHERE i.id = %(id)s::uuid
