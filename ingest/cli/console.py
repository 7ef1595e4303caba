"""`chef-ingest console`: the operator's web page."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from pathlib import Path

import click

from ingest.cli.configuration import described
from ingest.cli.options import control_option, says_what_is_wrong
from ingest.cli.servers import running, spool_at, staying

EXTRA = ("jinja2", "markdown_it", "uvicorn")
MISSING = "the console wants packages that are not installed here: pip install 'chef-ingest[console]'"


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Overrides INGEST_CONSOLE_LISTEN.")
@control_option
@click.option("--listen-fd", type=int, hidden=True, help="A socket that listens already, inherited from `up`.")
@says_what_is_wrong
def console(listen: str | None, state: Path | None, listen_fd: int | None) -> None:
    """Serve the operator's web page, a process of its own.

    On 127.0.0.1 it asks nobody who they are. Where others can reach it, it wants tokens with the scope look (and
    operate, to change anything) in INGEST_TOKENS_FILE, and TLS. SIGTERM and SIGINT end it.
    """
    if not installed():
        raise click.ClickException(MISSING)
    from consumers.supervisor.control import state_folder
    from ingest.console.server import run_console
    from ingest.console.views.machine import Machine

    folder = state_folder(state, os.environ)
    loaded = staying(folder, INGEST_CONSOLE_LISTEN=listen).loaded
    machine = Machine(
        loaded.settings,
        folder,
        running(folder).get("INGEST_URL", ""),
        spool_at(folder, loaded.settings),
        described(loaded),
    )
    sys.exit(run_console(machine, None if listen_fd is None else socket.socket(fileno=listen_fd)))


def installed() -> bool:
    """Whether what only the console needs is there."""
    return all(importlib.util.find_spec(name) for name in EXTRA)
