"""`chef-ingest soak`: proves on the operator's own machine that nothing is lost and nothing is doubled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ingest.cli.options import says_what_is_wrong


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=5.0, show_default=True, help="How long to do harm.")
@click.option("--seed", type=int, help="Repeat the faults of an earlier run; by default a new one, which is printed.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep servers, data and logs of the run in this folder; by default they are removed after a success.",
)
@says_what_is_wrong
def soak(minutes: float, seed: int | None, state: Path | None) -> None:
    """Run everything under load and random faults; end with the ledger of every message.

    Starts a private broker, database, shim and consumers, sends from several senders at once, and stops, kills,
    freezes, starves and cuts off one of them after the other. Needs about two cores and 2 GB of disk; touches
    nothing else on the machine. Ctrl-C ends it early, with the ledger. Exit 1 if the ledger does not hold.
    """
    from ingest.soak.run import run_soak

    sys.exit(run_soak(minutes, seed=seed, state=state, environ=os.environ, say=click.echo))
