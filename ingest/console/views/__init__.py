"""What each page shows: a view asks the library and names a template. `asked` understands an address, `machine` is what
all of them ask about; each page is one of `overview`, `letters`, `replays`,
`workers`, `runs`, `nodes`, `actions`, `health`; `chart` and `flow` put numbers into pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request

from ingest.console import runbooks
from ingest.console.entrance import Operator
from ingest.console.pages import Shown
from ingest.console.views import actions, health, letters, nodes, overview, replays, runs, workers
from ingest.console.views.machine import Machine

VIEWS: Final[Mapping[str, Callable[[Machine, Request], Shown]]] = {
    "/": overview.show,
    "/letters": letters.show,
    "/letters/{letter:int}": letters.show_one,
    "/replays": replays.show,
    "/replays/confirm": replays.confirm,
    "/replays/{replay:int}": replays.show_one,
    "/workers": workers.show,
    "/workers/confirm": workers.confirm,
    "/runs": runs.show,
    "/runs/{run}": runs.show_one,
    "/nodes": nodes.show,
    "/actions": actions.show,
    "/actions/{id}": actions.show_one,
    "/health": health.show,
    "/runbooks/{name}": runbooks.show,
}
"""Path -> its view."""

CHANGES: Final[Mapping[str, Callable[[Machine, Operator, Mapping[str, str]], str]]] = {
    "/workers": workers.change,
    "/replays": replays.change,
}
"""Path -> what is done by a form that is sent there; the path to go to then."""
