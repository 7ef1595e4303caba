"""From payload to verdict: `decode` inflates and takes apart, `nesting` tells how deep it goes, `fastpath` or
`validator` check against the schema, `judge` decides, `drift` says what is otherwise than documented, `redaction` cuts
secrets out of the row by means of `cuts`, `conflict` tells what differs from the row that stands.
"""
