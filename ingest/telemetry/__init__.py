"""What is written down about what happens: `logs`, through `masking`, to a `stream`;
`tracing` where OpenTelemetry is installed.
"""
