"""The HTTP process: `server` composes it, `app` routes, `doors` take POSTs, `readiness` pings through, `acknowledged`
keeps its half of the ledger, `openapi` and `metrics` describe it, `welcome` tells a visitor.
"""
