"""All that is PostgreSQL's own: `connection` is THE connect, `deadline` gives silent servers up, `errors` says whose
fault an error is, `statements` loads SQL by name, `binary` packs values, `copy` sends rows of them, `migrations` and
`partitions` keep the schema.
"""
