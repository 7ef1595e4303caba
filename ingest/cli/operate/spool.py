"""`chef-ingest spool`: what a shim keeps on disk while the broker is away."""

from __future__ import annotations

import os
import sys

import click

from ingest.cli.options import output_option, says_what_is_wrong
from ingest.cli.output import print_rows
from ingest.cli.servers import settings_at, spool_at
from ingest.local.state import StateError


@click.group()
def spool() -> None:
    """What Chef servers told while the broker was away, on the disk of a shim until that takes it."""


@spool.command("list")
@output_option
@says_what_is_wrong
def spool_list(output: str) -> None:
    """List what waits in the spool of this machine, the oldest first, and what was set aside or damaged.

    It is read as it lies there, beside shims that write and drain it.
    """
    from consumers.supervisor.control import state_folder
    from ingest.spool.contents import entries

    state = state_folder(None, os.environ)
    folder = spool_at(state, settings_at(state))
    columns = ("state", "received_at", "kind", "bytes", "segment", "offset")
    try:
        print_rows([] if folder is None else list(entries(folder)), output, sys.stdout, columns)
    except OSError as error:
        raise StateError(f"the spool {folder} can't be read: {error.strerror}: ask as the shim's user") from error
