"""Overview: what is wrong, first; then the way of messages, and how much there is of everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from consumers.dead_letters.replays import register
from consumers.dead_letters.replays.register import Replay
from consumers.dead_letters.repository import repository_at
from consumers.errors import Misconfigured, StoreUnavailable
from ingest.console.live import numbers
from ingest.console.pages import Shown
from ingest.console.views.chart import SPARK_HEIGHT, SPARK_WIDTH, spark
from ingest.console.views.flow import HEIGHT, WIDTH, flow
from ingest.console.views.machine import PURPOSE, Balance, Machine
from ingest.diagnostics.now.trend import AGE_MINUTES

_TILES: Final = (
    ("backlog", "Backlog", "backlog", ""),
    ("age p50", f"Age at commit, p50 of {AGE_MINUTES} min", "age_p50", " s"),
    ("age p99", f"Age at commit, p99 of {AGE_MINUTES} min", "age_p99", " s"),
    ("letters open", "Open letters", "letters", ""),
    ("refused", "Answered 503 in an hour", "refused", ""),
    ("rate", "Messages a second", "messages", " a minute"),
)
"""The live name of a number, its title, the series of it in the last hour, and the unit of that."""


def show(machine: Machine, _request: Request) -> Shown:
    """The first page."""
    found, ledger = machine.look(), machine.ledger()
    live = numbers(found)
    tiles = [
        (name, title, live.get(name, "–"), spark(title, found["trend"][of], unit)) for name, title, of, unit in _TILES
    ]
    facts = {
        "found": found,
        "wrong": _wrong(found, ledger),
        "tiles": tiles,
        "live": live,
        "flow": flow(found),
        "ledger": ledger,
        "replays": _running(machine),
        "spark_width": SPARK_WIDTH,
        "spark_height": SPARK_HEIGHT,
    }
    return Shown("overview.html", facts | {"box_width": WIDTH, "box_height": HEIGHT})


def _wrong(found: Mapping[str, Any], ledger: Balance) -> list[Mapping[str, Any]]:
    """All that is wrong, a ledger that does not add up too."""
    wrong: list[Mapping[str, Any]] = list(found["troubles"])
    if ledger.colour == "bad":
        wrong.append({"text": f"the ledger does not add up: {ledger.text}", "runbook": "", "blocks": False})
    return wrong


def _running(machine: Machine) -> list[Replay]:
    """Replays under way; none where the database does not say, which the page has said by then."""
    try:
        with repository_at(machine.settings.database_url, who="", purpose=PURPOSE) as repository:
            return register.under_way(repository)
    except (StoreUnavailable, Misconfigured):
        return []
