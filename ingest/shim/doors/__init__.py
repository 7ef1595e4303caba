"""The doors of the shim: `entry` is a POST's way in through any of them; each has a module, named as in
schemas/doors.py, with what is its own (`messages`, `reports`, `collector`), and beside it its part of the OpenAPI
document. `scan` finds the kind of a body in it, `sender` says who sent a request.
"""

from __future__ import annotations

from importlib import import_module

from ingest.http.routes import Route
from ingest.shim.doors.entry import Entry
from schemas.doors import DOORS


def routes(entry: Entry) -> list[Route]:
    """The routes of every door that the shim stands at."""
    modules = [import_module(f"{__name__}.{door.name}") for door in DOORS if door.posts]
    return [route for module in modules for route in module.routes(entry)]
