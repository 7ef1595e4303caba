-- One action by its id, of any organization or of these, columns in the order of ActionRow, each as text.
SELECT {texts ActionRow a}
FROM action_ids AS i
JOIN actions AS a ON (a.recorded_at, a.id) = (i.recorded_at, i.id)
WHERE i.id = %(id)s::uuid
  AND (%(organizations)s::text[] IS NULL OR a.organization_name = ANY(%(organizations)s::text[]))
