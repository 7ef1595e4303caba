"""Every shape that the doors agree on, pure: `message` and `verdict` are the values, `labels` the words told of them,
`doors` where messages come in, `run_rule`, `run_merge`, `topology` and `settings` what is decided about them,
`address` where to listen, `wording` how faults are told, `printable` how strangers' text is shown; rooms: `kinds` (one
folder a kind), `validation` (the judge).
"""
