"""Carries out `status`: looks once, or again and again with keys that scale and pause."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from consumers.database.connection import Connection
from consumers.errors import Misconfigured, StoreUnavailable
from consumers.machines.pauses import EVERY_QUEUE, EVERYWHERE, pause, pauses, resume
from consumers.supervisor.control import ControlError, ask
from ingest.cli.output import console
from ingest.cli.screen.picture import Picture
from ingest.cli.screen.trail import Trail
from ingest.cli.screen.watch import watching

KEYS: Final = {"+": "+1", "-": "-1", "a": "auto"}
"""What a key tells the supervisor to scale to."""

Look = Callable[[], dict[str, Any]]


def show(look: Look, output: str) -> bool:
    """Print what there is to see; whether all is well."""
    found = look()
    if output == "json":
        sys.stdout.write(json.dumps(found, indent=2, default=str) + "\n")
    else:
        console(sys.stdout).print(Picture(found, datetime.now(UTC)))
    return not (found["faults"] or found["blocked"])


def watch(look: Look, state: Path, switch: Switch) -> None:
    """Draw it until q or Ctrl-C."""
    trail = Trail()
    keys = {key: partial(_scale, state, to) for key, to in KEYS.items()} | {"p": switch.ask, "y": switch.turn}

    def noted() -> dict[str, Any]:
        found = look()
        trail.add(found)
        return found

    def draw(found: dict[str, Any], said: str) -> Picture:
        return Picture(found, datetime.now(UTC), trail, said)

    watching(noted, draw, console(sys.stdout), keys)


class Switch:
    """Pauses every queue everywhere, or ends that: asks first, since a key is pressed by mistake too.

    `open` gives a connection to the database for a block; `who` is kept with the pause.
    """

    def __init__(self, open: Callable[[], AbstractContextManager[Connection]], who: Callable[[], str]) -> None:
        self._open = open
        self._who = who
        self._to: bool | None = None

    def ask(self) -> str:
        """The question, in a line."""
        try:
            with self._open() as connection:
                paused = any((each.queue, each.host) == (EVERY_QUEUE, EVERYWHERE) for each in pauses(connection))
        except (StoreUnavailable, Misconfigured) as error:
            return f"pauses can't be seen: {error}"
        self._to = not paused
        return "resume every queue? y does it" if paused else "pause every queue, everywhere? y does it"

    def turn(self) -> str:
        """What came of it, in a line; nothing where nothing was asked."""
        to, self._to = self._to, None
        if to is None:
            return ""
        try:
            with self._open() as connection:
                if to:
                    pause(connection, [EVERY_QUEUE], EVERYWHERE, self._who(), "by the key p of `status --watch`")
                    return "paused: workers take no more within seconds; p again resumes"
                resume(connection, [EVERY_QUEUE], EVERYWHERE)
                return "resumed: workers take messages again within seconds"
        except (StoreUnavailable, Misconfigured) as error:
            return f"not done: {error}"


def _scale(state: Path, to: str) -> str:
    """What came of it, in a line."""
    try:
        answer = ask(state, {"verb": "scale", "to": to})
    except ControlError as error:
        return f"not scaled: {error}"
    auto = f", by itself within {answer['auto']}" if answer["auto"] else ""
    return f"scaled to {answer['workers']} workers{auto} (there were {answer['before']} wanted)"
