"""Who may come in: `gate` holds all of it and reloads it, `exposure` where we may listen, `tls`, and the `guard` with
`tokens`, `signatures`, `keys`, their `principals` and the `access_tokens` that users get for a
signature, or what is refused `unguarded`; `files` tells what is not there from what can't be told.
"""
