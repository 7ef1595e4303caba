"""`chef-ingest dead`: `commands` with their `options`, carried out by `letters`, `replay`, `edit` (with its
`editor`) and `importing`; `text` words one letter.
"""
