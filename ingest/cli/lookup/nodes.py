"""`chef-ingest nodes`: which nodes there are, and which have not been heard of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ingest.cli.lookup.options import TIME_HELP, looking, paged, print_page, time
from ingest.cli.options import output_option, says_what_is_wrong
from ingest.lookup import nodes as lookup
from ingest.lookup.nodes import NodesWanted
from ingest.lookup.runs import aborted_before
from schemas.labels import RUN_STATUSES

COLUMNS = ("seen", "status", "organization", "name", "client_version", "policy_name", "policy_group", "run_id")


@click.group()
def nodes() -> None:
    """Nodes, by when they were last heard of."""


@nodes.command("list")
@click.option("--organization", help="Of this organization.")
@click.option("--node", help="Of this name.")
@click.option("--status", type=click.Choice(RUN_STATUSES), help="Whose latest run stands like this.")
@click.option("--missing", callback=time, metavar="TIME", help=f"Not heard of since then: {TIME_HELP}.")
@click.option("--gone", is_flag=True, help="Not heard of for INGEST_NODE_MISSING_SECONDS, as metrics and alerts count.")
@paged
@output_option
@says_what_is_wrong
def nodes_list(output: str, gone: bool, **wanted: Any) -> None:
    """Nodes, the one last heard of first; exit code 1 if there is none."""
    with looking() as (reader, settings):
        if gone and wanted["missing"] is None:
            wanted["missing"] = datetime.now(UTC) - timedelta(seconds=settings.node_missing_seconds)
        page = lookup.listed(reader, NodesWanted(**wanted), aborted_before(settings, datetime.now(UTC)))
    print_page(page, output, COLUMNS)
