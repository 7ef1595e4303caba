"""Carries out `status`: looks once, or again and again with keys that scale."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

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


def watch(look: Look, state: Path) -> None:
    """Draw it until q or Ctrl-C."""
    trail = Trail()

    def noted() -> dict[str, Any]:
        found = look()
        trail.add(found)
        return found

    def draw(found: dict[str, Any], said: str) -> Picture:
        return Picture(found, datetime.now(UTC), trail, said)

    watching(noted, draw, console(sys.stdout), {key: partial(_scale, state, to) for key, to in KEYS.items()})


def _scale(state: Path, to: str) -> str:
    """What came of it, in a line."""
    try:
        answer = ask(state, {"verb": "scale", "to": to})
    except ControlError as error:
        return f"not scaled: {error}"
    auto = f", by itself within {answer['auto']}" if answer["auto"] else ""
    return f"scaled to {answer['workers']} workers{auto} (there were {answer['before']} wanted)"
