"""`chef-ingest dead`: `commands` with their `options`, carried out by `letters`, `replay`, `edit` and `importing`;
`text` words one letter.
"""
