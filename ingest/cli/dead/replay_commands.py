"""The commands about replays: beginning one, and looking at, pausing and stopping those there are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from consumers.dead_letters.selector import Selector
from ingest.cli.dead.options import accountable, name, rate, selected, yes_option
from ingest.cli.options import output_option, says_what_is_wrong
from ingest.cli.servers import settings_at
from schemas.labels import REPLAY_WISHES, ReplayWish


def _waiting(command: Callable[..., Any]) -> Callable[..., Any]:
    patience = "With --wait: give up when no letter was settled for so many seconds."
    seconds = click.FloatRange(0)
    command = click.option("--timeout", type=seconds, default=120.0, show_default=True, help=patience)(command)
    return click.option("--wait", is_flag=True, help="Report what becomes of each letter.")(command)


@click.command()
@selected
@yes_option
@click.option("--name", callback=name, metavar="TEXT", help="What to call it: `dead replays list` shows it.")
@click.option("--only-fixed", is_flag=True, help="Just those that would be stored, as things are now.")
@click.option("--all", "all_", is_flag=True, help="Those too that would be refused again, as things are now.")
@click.option("--rate", callback=rate, metavar="N/s", help="So many letters a second at most.")
@click.option("--until-failures", type=click.IntRange(1), metavar="N",
              help="Stop when N letters have failed again; no more do, so it waits for outcomes.")  # fmt: skip
@_waiting
@click.option("--fresh", is_flag=True, help="Don't go on with an interrupted replay of the same letters.")
@accountable
@output_option
@says_what_is_wrong
def replay(selector: Selector, who: str, why: str | None, output: str, **options: Any) -> None:
    """Send letters to where they came from, once more.

    Shows how many there are by cause, and how many would now pass; --yes sends them, but for those that would be
    refused again. Open letters only, unless others are named by --id or --state. Ctrl-C stops after the letter in hand;
    the same command goes on. `dead replays` shows, pauses and stops it from anywhere.
    """
    from ingest.cli.dead import replay

    if options["only_fixed"] and options["all_"]:
        raise click.UsageError("--only-fixed and --all contradict each other")

    words = click.get_current_context().meta["selector"]
    sys.exit(replay.replay(settings_at(changing=True), selector, words, who=who, why=why, output=output, **options))


@click.group()
def replays() -> None:
    """Replays, running and past, of any machine: how far they are, what came of them; pause, resume, stop.

    A replay that is interrupted has no process any more: it was killed, or its machine is gone.
    """


@replays.command("list")
@click.option("--before", type=click.IntRange(1), metavar="N", help="Those with a lower number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many, the newest first.")
@output_option
@says_what_is_wrong
def list_(before: int | None, limit: int, output: str) -> None:
    """Replays, the newest first, and how far they are."""
    from ingest.cli.dead import replays

    replays.show_list(settings_at(), before=before, limit=limit, output=output)


_number = click.argument("number", metavar="N", type=click.IntRange(1, 2**31 - 1))


@replays.command()
@_number
@output_option
@says_what_is_wrong
def show(number: int, output: str) -> None:
    """One replay: which letters, who, why, how far it is, and what became of them."""
    from ingest.cli.dead import replays

    replays.show(settings_at(), number, output)


@replays.command()
@_number
@_waiting
@accountable
@output_option
@says_what_is_wrong
def resume(number: int, **options: Any) -> None:
    """Let a paused replay go on; carry out, here, one that was interrupted or stopped, from where it stopped."""
    from ingest.cli.dead import replay

    sys.exit(replay.resume(settings_at(changing=True), number, **options))


def _wish(wanted: ReplayWish, help_: str) -> None:
    @replays.command(wanted, help=help_)
    @_number
    @accountable
    @says_what_is_wrong
    def wish(number: int, who: str, why: str | None) -> None:
        from ingest.cli.dead import replays

        replays.want(settings_at(changing=True), number, wanted, who=who, why=why)


_, PAUSE, STOP = REPLAY_WISHES
_wish(PAUSE, "Hold a replay after the letter in hand, wherever it runs.")
_wish(STOP, "End a replay after the letter in hand, wherever it runs; what it has not sent stays as it is.")
