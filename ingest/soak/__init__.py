"""The proof: load from several senders, faults from outside, and a ledger of what became of every message."""
