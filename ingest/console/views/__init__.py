"""What each page shows: a view asks the library and names a template. `machine` is what all of them ask about, and
`overview` the first page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request

from ingest.console.pages import Shown
from ingest.console.views import overview
from ingest.console.views.machine import Machine

VIEWS: Final[Mapping[str, Callable[[Machine, Request], Shown]]] = {
    "/": overview.show,
}
"""Path -> its view."""
