"""The proof: load from several senders, faults from outside, and a ledger of what became of every message: `run` draws
from the `faults` (each a `nemesis`, or a spoiled wire of `proxy`), `senders` (`http_sender`, `amqp_sender`) send
the `workload` into the `system`, `tables` are read, the `ledger` is checked; `ports` are free ones.
"""
