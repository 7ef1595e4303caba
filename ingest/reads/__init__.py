"""What can be read: `asked` understands a query, `paging` cuts what is found into pages, `database` asks PostgreSQL
within bounds, and rows become Reporting's form (`reporting`), Analytics' (`analytics`) or our `own`. The routes of
`runs` and `actions` are made of these, `answering` says what went wrong, `routes` lists them. None is in a POST's way.
"""
