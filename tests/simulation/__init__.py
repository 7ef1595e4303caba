"""The worker's loop in histories drawn from a seed: `clockwork` turns, `messages` are sent, `harms` are done to the
`servers` and to the `workers`, `history` plays it all to its end, and the `account` says what became of every message.
"""
