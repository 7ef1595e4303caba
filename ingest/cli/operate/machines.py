"""What operators tell the workers of all machines: hold queues back, and go on; and the list of machines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from ingest.cli.dead.options import os_user
from ingest.cli.options import EXIT_FAILED, output_option, says_what_is_wrong
from ingest.cli.output import print_rows, say
from ingest.cli.servers import settings_at
from schemas.settings import Settings

if TYPE_CHECKING:
    from consumers.database.connection import Connection

ALL: Final = "all"

host_option = click.option("--host", default="", metavar="HOST", help="Only on this machine, as `status` names it.")


@click.command()
@click.argument("queue", metavar="QUEUE|all")
@host_option
@click.option("--why", required=True, metavar="TEXT", help="The reason: `status` shows it to everybody.")
@click.option("--as", "who", metavar="NAME", default=os_user, show_default="the OS user", help="Who does it.")
@says_what_is_wrong
def pause(queue: str, host: str, why: str, who: str) -> None:
    """Hold a queue back, or all: workers finish what they have in hand and take no more of it, until `resume`.

    Nothing is lost: messages wait in their queues, and who posts is answered 202. Workers obey within seconds, those
    that are started later too. Everywhere, or on the machine that --host names.
    """
    from consumers.machines import pauses

    with database(settings_at()) as connection:
        new = pauses.pause(connection, [_queue(queue)], host, who, why)
        [there] = [each for each in pauses.pauses(connection) if (each.queue, each.host) == (_queue(queue), host)]
    say(there.text if new else f"as before: {there.text}")


@click.command()
@click.argument("queue", metavar="QUEUE|all")
@host_option
@says_what_is_wrong
def resume(queue: str, host: str) -> None:
    """Let workers take messages again of what `pause` holds back; name it as it was named there.

    Exit 1 if it was not paused; what is paused is said then.
    """
    from consumers.machines import pauses

    with database(settings_at()) as connection:
        ended = pauses.resume(connection, [_queue(queue)], host)
        left = pauses.pauses(connection)
    for each in ended:
        say(f"no more: {each.text}")
    for each in left:
        say(f"still: {each.text}")
    if not ended:
        say(f"nothing to resume: {queue}{f' on {host}' if host else ''} was not paused")
        sys.exit(EXIT_FAILED)


@click.group()
def machines() -> None:
    """The machines whose supervisors write into this database: list them, forget those that are gone."""


@machines.command("list")
@output_option
@says_what_is_wrong
def machines_list(output: str) -> None:
    """Every supervisor as it told of itself last, a few seconds ago where it is well."""
    from consumers.machines.supervisors import supervisors
    from consumers.machines.view import machine

    with database(settings_at()) as connection:
        told = supervisors(connection)
    print_rows([machine(each) for each in told], output, sys.stdout)


@machines.command()
@click.argument("host")
@says_what_is_wrong
def forget(host: str) -> None:
    """Take away what is written of a machine that is gone; one that is still heard of stays.

    Exit 1 if nothing was to be taken away.
    """
    from consumers.machines.supervisors import forget as forgotten

    with database(settings_at()) as connection:
        folders = forgotten(connection, host)
    for folder in folders:
        say(f"forgotten: the supervisor of {host} in {folder}")
    if not folders:
        say(f"nothing to forget: no supervisor of {host} that is gone is known (`chef-ingest machines list`)")
        sys.exit(EXIT_FAILED)


def ask_elsewhere(name: str, wants: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer of the supervisor on a machine. Raises NotAsked, StoreUnavailable or Misconfigured."""
    from consumers.machines.supervisors import ask, named, supervisors

    with database(settings_at()) as connection:
        return ask(connection, named(supervisors(connection), name), wants)


def _queue(given: str) -> str:
    """The queue of an argument. Raises UsageError."""
    from consumers.machines.pauses import EVERY_QUEUE, PAUSABLE

    if given != ALL and given not in PAUSABLE:
        raise click.UsageError(f"{given} can't be paused; these can: {ALL}, {', '.join(PAUSABLE)}")
    return EVERY_QUEUE if given == ALL else given


@contextmanager
def database(settings: Settings) -> Iterator[Connection]:
    """A connection to a system's database. Raises StoreUnavailable or Misconfigured."""
    from consumers.database.connection import Purpose, session
    from consumers.database.migrations import require_current

    with session(settings.database_url, Purpose("chef-ingest machines", statement=10, silence=12)) as connection:
        require_current(connection)
        yield connection
