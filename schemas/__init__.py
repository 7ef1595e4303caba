"""Every shape both doors agree on: message kinds, verdicts, the judge, topology, settings; pure, no I/O."""
