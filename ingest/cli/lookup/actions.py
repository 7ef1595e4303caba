"""`chef-ingest actions`: who changed what on Chef servers."""

from __future__ import annotations

import sys
from typing import Any

import click

from ingest.cli.lookup.options import looking, paged, print_page, window
from ingest.cli.options import output_option, says_what_is_wrong
from ingest.cli.output import print_rows
from ingest.lookup import actions as lookup
from ingest.lookup.actions import ActionsWanted

COLUMNS = ("recorded_at", "organization_name", "requestor_name", "task", "entity_type", "entity_name", "id")


@click.group()
def actions() -> None:
    """Actions on Chef servers: list them, show one."""


@actions.command("list")
@click.option("--organization", help="Of this organization.")
@click.option("--entity", help="On what has this name, or is a part of it.")
@click.option("--type", "type", help="On entities of this type: node, cookbook, item, ...")
@click.option("--task", help="That did this: create, update, delete, ...")
@click.option("--requestor", help="By this user or client.")
@click.option("--run-id", help="By the client of this run.")
@window
@paged
@output_option
@says_what_is_wrong
def actions_list(output: str, **wanted: Any) -> None:
    """Actions recorded in a window, newest first."""
    with looking() as (reader, _):
        page = lookup.listed(reader, ActionsWanted(**wanted))
    print_page(page, output, COLUMNS)


@actions.command("show")
@click.argument("action_id")
@output_option
@says_what_is_wrong
def actions_show(action_id: str, output: str) -> None:
    """One action with its data, and the run that it belongs to."""
    with looking() as (reader, _):
        action = lookup.action(reader, action_id)
    facts = [{"member": name, "text": value} for name, value in action.items() if value is not None]
    print_rows(facts if output == "table" else [action], output, sys.stdout)
