"""`chef-ingest runs`: which runs there were, one in full, what they failed of."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from ingest.cli.lookup.options import looking, paged, print_page, window
from ingest.cli.options import output_option, says_what_is_wrong
from ingest.cli.output import print_rows
from ingest.lookup import runs as lookup
from ingest.lookup.runs import RunsWanted, aborted_before
from schemas.labels import RUN_STATUSES

COLUMNS = ("start_time", "status", "organization", "node_name", "updated_res_count", "total_res_count", "run_id")


@click.group()
def runs() -> None:
    """Runs of chef-clients: list them, show one, group what they failed of."""


def _where(command: Any) -> Any:
    command = click.option("--node", help="Of this node.")(command)
    return click.option("--organization", help="Of this organization.")(command)


@runs.command("list")
@_where
@click.option("--status", type=click.Choice(RUN_STATUSES), help="That stand like this.")
@window
@paged
@output_option
@says_what_is_wrong
def runs_list(output: str, **wanted: Any) -> None:
    """Runs that started in a window, newest first."""
    with looking() as (reader, settings):
        page = lookup.listed(reader, RunsWanted(**wanted), aborted_before(settings, datetime.now(UTC)))
    print_page(page, output, COLUMNS)


@runs.command("show")
@click.argument("run_id")
@output_option
@says_what_is_wrong
def runs_show(run_id: str, output: str) -> None:
    """One run: how it went, and its first 200 resources."""
    with looking() as (reader, settings):
        run = lookup.run(reader, run_id, aborted_before(settings, datetime.now(UTC)))
        resources, _ = lookup.resources(reader, run["run_id"])
    if output == "table":
        facts = [{"member": name, "text": value} for name, value in run.items() if value is not None]
        print_rows(facts, output, sys.stdout)
        print_rows(resources, output, sys.stdout, ("position", "type", "name", "result", "status", "duration_ms"))
    else:
        print_rows([{**run, "resources": resources}], output, sys.stdout)


@runs.command("errors")
@_where
@window
@output_option
@says_what_is_wrong
def runs_errors(output: str, **wanted: Any) -> None:
    """What runs of a window failed of, the most frequent first, worded without values."""
    with looking() as (reader, _):
        causes = lookup.errors(reader, RunsWanted(**wanted))
    print_rows([cause.row() for cause in causes], output, sys.stdout)
