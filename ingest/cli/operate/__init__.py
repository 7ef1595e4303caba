"""The operator's commands: `system` runs, scales and looks, `machines` pauses and asks all, `spool` says what waits."""
