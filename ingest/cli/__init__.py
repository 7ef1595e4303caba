"""The command line: `main` and the nouns (the rooms `operate`, `access`, `lookup` and `dead`, `console`, `soak`,
`validate`, `completion`), `options` that commands share, `configuration` they read, `servers` they talk to, `output`
they print with, `watch` draws again.
"""

from ingest.cli.main import main

__all__ = ["main"]
