"""HTTP without routes: `limits` bounds connections, `requests` reads, `negotiation` understands fields, `outcome` is
what became of a message, `answers` says it.
"""
