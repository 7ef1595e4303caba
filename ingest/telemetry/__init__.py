"""What is written down about what happens: `logs`, through `masking`; `tracing` where OpenTelemetry is installed."""
