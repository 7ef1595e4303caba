"""A route: a path, a method, what answers there, and who may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from ingest.http.answers import Answer
from ingest.http.requests import Request

BY_KIND: Final = "by kind"
"""The scope of a route whose bodies tell their kind, which then tells the scope."""

Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`path` is a template; a GET answers HEAD too.

    `scope` is what a token must be good for (`actions`, `runs`, `read`, or BY_KIND); None: anybody may ask, for it
    tells nothing of anybody. `owner` is where the organization stands that a token must be of, if the path doesn't name
    it, or not it alone: in the `body` of the request, which a worker judges, in the `answer`, or nowhere, and then the
    route is for tokens of every organization only.
    """

    path: str
    method: str
    handler: Handler
    scope: str | None
    owner: Literal["body", "answer"] | None = None
