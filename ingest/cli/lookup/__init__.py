"""What is stored, on the command line: `runs`, `actions` and `nodes`, with the `options` that they share."""
