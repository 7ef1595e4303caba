"""Letters as a file: the lines that `dead export` prints, sent while they are read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from consumers.dead_letters import queries
from consumers.dead_letters.export import to_line
from consumers.dead_letters.repository import repository_at
from consumers.dead_letters.selector import Selector
from ingest.console.fence import TurnedAway, require_operate
from ingest.console.views.asked import asked
from ingest.console.views.letters.chosen import selected
from ingest.console.views.machine import CHANGING, Machine

MOST: Final = 10_000
"""Letters of one file: more is a command's work."""
_AT_ONCE: Final = threading.BoundedSemaphore(2)
"""Who reads slowly holds a connection."""


def download(machine: Machine, request: Request) -> Response:
    """The letters that an address asks for, of every state unless it names one. Bodies are as they were sent, so who
    asks must be one who may operate, and is told to the log by name. Raises TurnedAway."""
    require_operate(request.state.operator)
    selector = selected(asked(request))
    with repository_at(machine.settings.database_url, who="", purpose=CHANGING) as repository:
        count = queries.count(repository, selector)
    if count > MOST:
        raise TurnedAway(
            413, f"these are {count} letters, and a page sends {MOST}: ask for fewer, or use `chef-ingest dead export`"
        )
    structlog.get_logger("ingest.console").info("letters_exported", who=request.state.operator.name, letters=count)
    headers = {"content-disposition": 'attachment; filename="letters.ndjson"'}
    return StreamingResponse(_lines(machine, selector), media_type="application/x-ndjson", headers=headers)


def _lines(machine: Machine, selector: Selector) -> Iterator[str]:
    where, values = selector.where()
    with _AT_ONCE, repository_at(machine.settings.database_url, who="", purpose=CHANGING) as repository:
        for letter in repository.letters("letters", where, limit=MOST, **values):
            yield to_line(letter) + "\n"
