"""The operator's side of dead letters: `selector` says which, `repository` holds the connection, `queries` read,
`transitions` settle, `edit` corrects, `notes` are left beside causes, `dry_run` foresees, `posting` and what lies in
`replays/` send again, `export` writes and reads files, `kept` reads what a chef-client kept, `errors` says what can't
be done.
"""
