"""The worker and what it stands on: `delivery` and `errors` travel everywhere; rooms: `runtime`, `broker`, `database`,
`ledger`, `store`, `telemetry`, `worker`, `supervisor`, `dead_letters`.
"""
