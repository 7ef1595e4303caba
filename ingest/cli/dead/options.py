"""The options that the commands about dead letters share: who is meant, which letters, and how much to do."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import click

from consumers.dead_letters.replays.words import check_name, rate_of
from consumers.dead_letters.selector import Selector, moment
from ingest.cli.options import as_text
from schemas.doors import WORDS
from schemas.labels import LETTER_STATES, STAGES

yes_option = click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")


class Fingerprint(click.ParamType[str]):
    """A cause's name, or enough of its beginning not to be mistaken."""

    name = "text"
    least = 6

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is given. Fails for what is too short."""
        if len(value) < self.least:
            self.fail(f"{value!r} is too short for a fingerprint: give {self.least} digits at least", param, ctx)
        return str(value)


_MEMBERS = {
    "ids": ("--id", click.IntRange(1), "These letters."),
    "states": ("--state", click.Choice(LETTER_STATES), "In this state."),
    "reasons": ("--reason", str, "With this reason code."),
    "stages": ("--stage", click.Choice(STAGES), "Failed at this stage."),
    "fingerprints": (
        "--fingerprint",
        Fingerprint(),
        "Of this cause, named as `groups` lists it, or by its first digits.",
    ),
    "kinds": ("--kind", str, "Of this kind of message."),
    "organizations": ("--organization", str, "Of this organization (run reports have it in their URL)."),
    "nodes": ("--node", str, "Of this node."),
    "doors": ("--door", click.Choice(WORDS), "That came in by this door."),
    "replays": ("--replay", click.IntRange(1, 2**31 - 1), "That this replay sent last."),
    "entities": ("--entity", str, "About this entity, as the body names it."),
    "requestors": ("--requestor", str, "Of this requestor, as the body names it."),
    "senders": (
        "--sender",
        str,
        "Sent by: words of a token's or user's name, an address, a hostname, a user agent.",
    ),
}
LONGEST_TEXT = 1000
_TIMES = {"since": "Last seen then or later: 2h, 3d, 2026-11-22T05:00Z.", "until": "Last seen before then."}


def name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """A name of at most a line, from the command line."""
    try:
        if value is not None:
            check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _text(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 0 < len(value) <= LONGEST_TEXT:
        raise click.BadParameter(f"give 1 to {LONGEST_TEXT} characters")
    return value


def rate(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """`50/s` or `50`, a number above 0, from the command line."""
    try:
        return None if value is None else rate_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def selected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the selector language: the parameter `selector`, and in the context's meta its words."""

    @wraps(command)
    def wrapped(**given: Any) -> Any:
        words = as_text({name: given.pop(name) for name in (*_MEMBERS, *_TIMES, "text", "after", "limit")})
        now = datetime.now(UTC)
        try:
            times = {name: moment(words[name], now) for name in _TIMES if words[name] is not None}
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        click.get_current_context().meta["selector"] = json.dumps(words)
        return command(selector=Selector(**{**words, "since": None, "until": None, **times}), **given)

    chosen: Callable[..., Any] = wrapped
    text = "With this text in the body, in capitals as given."
    chosen = click.option("--text", callback=_text, metavar="TEXT", help=text)(chosen)
    chosen = click.option("--after", type=click.IntRange(1), metavar="ID", help="Those with a higher id.")(chosen)
    chosen = click.option("--limit", type=click.IntRange(1), metavar="N", help="The first N of them, by id.")(chosen)
    for name, help_ in reversed(_TIMES.items()):
        chosen = click.option(f"--{name}", metavar="TIME", help=help_)(chosen)
    for name, (flag, type_, help_) in reversed(_MEMBERS.items()):
        chosen = click.option(flag, name, type=type_, multiple=True, help=f"{help_} Repeatable.")(chosen)
    return chosen


def accountable(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `who` and `why`, which are kept with every change."""
    command = click.option("--why", metavar="TEXT", help="The reason, kept in the letters' history.")(command)
    return as_somebody(command)


def as_somebody(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `who`."""
    return click.option(
        "--as", "who", metavar="NAME", default=os_user, show_default="the OS user", help="Who does it."
    )(command)


def os_user() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a user may have a number only.
        return f"uid {os.getuid()}"
