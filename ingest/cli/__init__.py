"""The command line: `main` and the nouns (`operate`, `console`, `soak`, `spool`, `validate`, `completion`, the rooms
`access` and `dead`), `options` that commands share, `configuration` they read, `servers` they talk to, `output` they
print with, `watch` draws again.
"""

from ingest.cli.main import main

__all__ = ["main"]
