"""Puts messages in the queue and hears what became of them: `publisher` over one `connection` at a time, `nacks`
notices a queue that refuses.
"""
