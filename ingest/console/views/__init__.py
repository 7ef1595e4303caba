"""What each page shows: a view asks the library and names a template. `asked` understands an address, `machine` is what
all of them ask about; each page is one of `overview`, those in `letters/` and `replays/`,
`workers`, `runs`, `nodes`, `actions`, `health`; `chart` and `flow` put numbers into pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ingest.console import runbooks
from ingest.console.entrance import Operator
from ingest.console.pages import Shown
from ingest.console.views import actions, health, nodes, overview, runs, workers
from ingest.console.views.letters import decided, edited, exported, listed, noted, one, patched
from ingest.console.views.machine import Machine
from ingest.console.views.replays import begun, wished

VIEWS: Final[Mapping[str, Callable[[Machine, Request], Shown]]] = {
    "/": overview.show,
    "/letters": listed.show,
    "/letters/confirm": decided.confirm,
    "/letters/note": noted.show,
    "/letters/patch": patched.show,
    "/letters/{letter:int}": one.show,
    "/letters/{letter:int}/edit": edited.show,
    "/replays": wished.show,
    "/replays/new": begun.show,
    "/replays/confirm": wished.confirm,
    "/replays/{replay:int}": wished.show_one,
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
    "/letters": decided.change,
    "/letters/note": noted.change,
    "/letters/patch": patched.save,
    "/letters/save": edited.save,
    "/letters/revert": edited.revert,
    "/workers": workers.change,
    "/replays": wished.change,
    "/replays/new": begun.change,
}
"""Path -> what is done by a form that is sent there; the path to go to then."""

FILES: Final[Mapping[str, Callable[[Machine, Request], Response]]] = {"/letters/export": exported.download}
"""Path -> the file that it sends."""

CHECKS: Final[Mapping[str, Callable[[Machine, Operator, Mapping[str, str]], Shown | Response]]] = {
    "/letters/check": edited.check,
    "/letters/patched": patched.check,
    "/letters/judge": edited.judge,
}
"""Path -> what is said of a form that is sent there; nothing is done."""
