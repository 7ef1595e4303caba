"""HTTP without what is asked of it: `limits` says what strangers may take, `listener` accepts, `service` is what
connections share, a `connection` goes from state to state by what `parsing` hears, an `exchange` is one request and its
answer, `requests` reads, `query` and `negotiation` understand what is asked for, `outcome` is what became of a message,
`answers` says it, `routes` are what an application is made of.
"""
