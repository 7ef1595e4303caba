"""Looks and changes nothing: `status`, `audit`, and the `doctor` with its `finding`s from `broker`, `database`,
`management` and `policies`; `row_counts` for the demonstration.
"""
