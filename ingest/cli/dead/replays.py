"""Prints replays, and says to one what is wanted of it."""

from __future__ import annotations

import sys
from typing import Any

from consumers.dead_letters.replays import register
from consumers.dead_letters.replays.register import Replay
from consumers.dead_letters.replays.wishes import PAUSE, PAUSED, STOPPED, Effect
from consumers.dead_letters.repository import repository_at
from ingest.cli.dead.replay import stopped_by
from ingest.cli.output import print_rows, say
from schemas.labels import ReplayWish
from schemas.printable import exact, printable
from schemas.settings import Settings

COLUMNS = (
    "replay", "name", "state", "looked_at", "total", "sent", "resolved", "failed", "waiting", "who", "started", "heard",
)  # fmt: skip


def show_list(settings: Settings, *, before: int | None, limit: int, output: str) -> None:
    """Replays in a line each, the newest first."""
    with repository_at(settings.database_url, who="") as repository:
        rows = [facts(each) for each in register.listed(repository, before=before, limit=limit)]
    print_rows(rows, output, sys.stdout, COLUMNS)
    if len(rows) == limit:
        say(f"these are {limit}; --before {rows[-1]['replay']} shows older ones")


def show(settings: Settings, number: int, output: str) -> None:
    """One replay in full, and what became of its letters."""
    with repository_at(settings.database_url, who="") as repository:
        replay = register.one(repository, number)
        outcomes = register.outcomes(repository, number)
    if output == "table":
        sys.stdout.write("".join(f"{printable(line)}\n" for line in _lines(replay)) + "\n")
        print_rows(outcomes, output, sys.stdout)
        if replay.failed:
            say(f"`chef-ingest dead list --replay {number} --state open --state parked` shows what failed again")
    else:
        print_rows([facts(replay) | {"outcomes": outcomes}], output, sys.stdout)


def want(settings: Settings, number: int, wanted: ReplayWish, *, who: str, why: str | None) -> None:
    """Pause or stop a replay, wherever it runs."""
    with repository_at(settings.database_url, who=who, why=why) as repository:
        found, comes_to = register.wish(repository, number, wanted)
    now = PAUSED if wanted == PAUSE else STOPPED
    if comes_to is Effect.ASK:
        say(f"{found.called} will be {now} when its process on {found.host} hears of it, in a second or so")
    elif comes_to is Effect.END:
        say(f"{found.called} was interrupted, and is {now} now")
    else:
        say(f"{found.called} is {found.state}")


def facts(replay: Replay) -> dict[str, Any]:
    """A replay as one JSON-able object."""
    given = {name: getattr(replay, name) for name in Replay.__dataclass_fields__ if name not in ("number", "selector")}
    return {"replay": replay.number, **given, "selector": replay.selector.asked()}


def _lines(replay: Replay) -> list[str]:
    state = replay.state + (f" {stopped_by(replay)}" if replay.state == STOPPED else "")
    done = f"{replay.looked_at}" + ("" if replay.total is None else f" of {replay.total}") + " letters looked at"
    pace = "as fast as it goes" if replay.rate is None else f"{replay.rate:g} letters a second at most"
    until = "" if replay.until_failures is None else f", until {replay.until_failures} fail again"
    told = [
        ("who", replay.who), ("why", replay.why), ("letters", replay.selector.in_words()),
        ("sends", replay.accepts), ("pace", pace + until), ("host", replay.host),
        ("started", exact(replay.started)), ("heard", replay.heard and exact(replay.heard)),
        ("ended", replay.ended and exact(replay.ended)),
        ("sent", replay.sent), ("passed over", replay.passed_over), ("not taken", replay.not_taken),
        ("resolved", replay.resolved), ("failed", replay.failed), ("waiting", replay.waiting),
    ]  # fmt: skip
    facts_ = [f"  {name:<12} {value}" for name, value in told if value not in (None, "")]
    return [f"{replay.called}: {state}", "", done, "", *facts_]
