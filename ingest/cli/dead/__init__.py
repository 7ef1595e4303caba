"""`chef-ingest dead`: `commands` and `replay_commands` with their `options`, carried out by `letters`, `replay`,
`replays`, `edit` (with its `editor`) and `importing`; `text` words one letter.
"""
