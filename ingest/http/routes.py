"""A route: a path, a method, what answers there, and who may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from ingest.http.answers import Answer
from ingest.http.requests import Request

Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`path` is a template; a GET answers HEAD too.

    `scope` is what a token must be good for (`actions`, `runs`, `read`); None: anybody may ask, for it tells nothing
    of anybody. `owner` is where the organization stands that a token must be of, if the path doesn't name it: in the
    `body` of the request, which a worker judges, in the `answer`, or nowhere, and then the route is for tokens of
    every organization only.
    """

    path: str
    method: str
    handler: Handler
    scope: str | None
    owner: Literal["body", "answer"] | None = None
