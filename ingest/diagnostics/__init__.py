"""Looks and changes nothing: `status`, `audit`, and the `doctor` with its `finding`s from `broker`, `database`,
`management`, `policies` and `collector`; `shim` asks the one of this machine, `spool` looks at what it keeps;
`row_counts` for the demonstration; `now` says what is wrong and how it went.
"""
