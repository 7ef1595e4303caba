"""The doors and the operator's side; rooms: `http`, `access`, `publisher`, `shim`, `telemetry`, `diagnostics`, `cli`,
`local`, `soak`, `reference`.
"""
