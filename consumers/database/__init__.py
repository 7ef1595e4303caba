"""All that is PostgreSQL's own: `errors` says whose fault an error is, `deadline` breaks silent connections,
`statements` loads SQL by name, `copy` renders rows, `migrations` and `partitions` keep the schema.
"""
