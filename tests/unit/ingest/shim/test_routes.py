"""The shim's routes: those of the doors as the doors say them, all of them documented, few of them for anybody."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from ingest.access import access_tokens
from ingest.access.gate import Gate
from ingest.http.answers import Answer, render
from ingest.http.requests import Request
from ingest.http.routes import BY_KIND, Route
from ingest.reads.routes import Reads
from ingest.shim import app
from ingest.shim.doors.collector import HEALTH_PATHS, SEARCH_PATH
from ingest.shim.doors.entry import Entry
from ingest.shim.metrics import ShimMetrics
from ingest.shim.openapi import document
from ingest.shim.welcome import welcome
from schemas.doors import DOORS
from schemas.settings import Settings


def routes() -> list[Route]:
    none: Any = None
    shim = app.Shim(none, ShimMetrics("test"), Gate(None, None))
    return app.routes(shim, Entry(Settings(), none), Reads(Settings(), lambda: ""))


def test_the_document_has_the_routes_of_the_shim() -> None:
    """No route is missing from the document and none is made up; each operation has a name of its own."""
    served: dict[str, set[str]] = {}
    for route in routes():
        served.setdefault(route.path, set()).update(
            {"get", "head"} if route.method == "GET" else {route.method.lower()}
        )
    documented = {
        template: {method for method in item if method != "parameters"}
        for template, item in document()["paths"].items()
    }
    assert documented == served
    names = [
        item[method]["operationId"] for template, item in document()["paths"].items() for method in served[template]
    ]
    assert len(set(names)) == len(names)


def test_every_path_of_a_door_is_served() -> None:
    """What schemas/doors.py says is posted to the shim is, by a token of the scope it says, and no more is."""
    said = {
        (path, BY_KIND if kind is None else door.scopes.get(kind, door.scope))
        for door in DOORS
        for path, kind in door.posts.items()
    }
    asked = {(SEARCH_PATH, "runs"), *((path, "read") for path in access_tokens.PATHS)}
    assert {(route.path, route.scope) for route in routes() if route.method == "POST"} == said | asked


def test_no_path_and_method_has_two_routes() -> None:
    """One door never stands in another's place."""
    found = [(route.path, route.method) for route in routes()]
    assert len(set(found)) == len(found)


def test_anybody_may_ask_only_what_tells_nothing_of_anybody() -> None:
    """Probes and the document are public; whatever else is not of one organization is for tokens of all of them."""
    probes = {"/healthz", "/readyz", "/reports/status", *HEALTH_PATHS}
    public = [route for route in routes() if route.scope is None]
    assert {route.path for route in public} == {*probes, "/", "/openapi.json"}
    assert {route.method for route in public} == {"GET"}
    unowned = {
        route.path
        for route in routes()
        if route.scope is not None and route.owner is None and "{organization}" not in route.path
    }
    assert unowned == {"/metrics"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_what_machines_ask_all_day_is_not_in_the_log(path: str) -> None:
    """Probes and scrapes are told at debug, so that a day's log is of what was sent and asked for."""

    async def asked() -> None:
        async def ready(_: Request) -> Answer:
            return Answer(200, {}, (), "fine")

        async def hear() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def tell(_: object) -> None:
            """Nobody listens."""

        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
        await app.Resource(path, {"GET": ready}, lambda *_: None)(scope, hear, tell)

    with capture_logs() as lines:
        asyncio.run(asked())
    levels = [line["log_level"] for line in lines if line["event"] == "request"]
    assert levels == ["info" if path == "/openapi.json" else "debug"]


def visited(accept: bytes) -> Answer:
    """What `/` answers to who accepts this."""

    async def nothing() -> dict[str, object]:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": [(b"accept", accept)]}
    return asyncio.run(welcome(Request(scope, nothing)))


def test_the_root_tells_what_this_is_and_links_only_to_what_is_there() -> None:
    """Whoever opens the address finds the name, the version, the document of all the rest, and where Chef posts."""
    _, body = render(visited(b"*/*"))
    told = json.loads(body)
    assert (told["name"], told["version"]) == ("chef-ingest", document()["info"]["version"])
    gets = {route.path for route in routes() if route.method == "GET"}
    assert "/openapi.json" in told["links"]
    assert told["links"].keys() <= gets
    assert set(told["posts"]) == {path for door in DOORS for path in door.posts}


def test_a_browser_gets_a_page_with_the_same_links() -> None:
    """Who accepts text/html gets it, each link to be followed."""
    page = visited(b"text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.media.startswith(b"text/html")
    assert isinstance(page.content, bytes)
    text = page.content.decode()
    linked = set(re.findall('href="([^"]+)"', text))
    assert linked == set(json.loads(render(visited(b""))[1])["links"])
    assert text.endswith("\n")
