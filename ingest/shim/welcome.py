"""What stands at `/`: what this is, and where to go from here; for a browser, the same as a page."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from typing import Final

from ingest.http.answers import Answer
from ingest.http.negotiation import BY_ACCEPT
from ingest.http.requests import Request
from schemas.doors import DOORS

_HTML: Final = b"text/html"
_WHAT: Final = "Takes what Chef servers and chef-clients report into PostgreSQL, exactly once."
_LINKS: Final = {
    "/openapi.json": "every route, what it takes and what it answers",
    "/readyz": "whether a POST now would be committed",
    "/healthz": "whether this process answers",
    "/metrics": "what Prometheus scrapes",
    "/reports/status": "whether reads are answered",
}
"""What can be asked without naming anything; the rest is in the first of them."""


async def welcome(request: Request) -> Answer:
    """Tells nothing of anybody, and nothing that the document does not tell."""
    if request.wants(_HTML):
        return Answer(200, _page().encode(), BY_ACCEPT, "welcome", b"text/html; charset=utf-8")
    content = {"name": "chef-ingest", "version": version("chef-ingest"), "about": _WHAT}
    return Answer(200, content | {"links": dict(_LINKS), "posts": _posts()}, BY_ACCEPT, "welcome")


def _posts() -> list[str]:
    return [path for door in DOORS for path in door.posts]


def _page() -> str:
    links = "".join(f'<li><a href="{path}">{path}</a>: {escape(what)}</li>\n' for path, what in _LINKS.items())
    posts = "".join(f"<li>{escape(path)}</li>\n" for path in _posts())
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>chef-ingest</title>\n"
        f"<h1>chef-ingest {escape(version('chef-ingest'))}</h1>\n<p>{escape(_WHAT)}</p>\n"
        f"<ul>\n{links}</ul>\n<p>Chef posts to:</p>\n<ul>\n{posts}</ul>\n</html>\n"
    )
