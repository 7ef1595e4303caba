"""The door of Chef's data collector: actions of Chef servers, runs of chef-clients, and what else they send there.

What senders make of an answer decides its class: 4xx to a run's start and its client tells nothing of the run's end,
to an end and the oldest clients abort the run. So both are 202 where they are refused, and the letter keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

import msgspec

from ingest.http.answers import ANSWERS, FORBIDDEN, Answer, Asked, fault
from ingest.http.requests import Declined, Request
from ingest.http.routes import Route
from ingest.shim.doors.entry import Entry
from ingest.shim.doors.scan import Sign, scanner
from schemas.doors import COLLECTOR
from schemas.kinds.action import KIND as ACTION
from schemas.settings import Settings
from schemas.verdict import Conflict, Invalid, UnknownRun

HEALTH_PATHS: Final = ("/data-collector/v0/", "/data-collector/v0")
SEARCH_PATH: Final = "/compliance/profiles/metasearch"
_SEARCH_BYTES: Final = 256 * 1024
"""The checksums of three thousand profiles."""

_SIGNS: Final = (Sign("message_type", {"action": ACTION.name}),)
_NOT_TOLD: Final = frozenset[str]()
"""Kinds whose senders lose more by hearing of a refusal than they can mend."""


def routes(entry: Entry) -> Iterable[Route]:
    """Its POSTs, the constant that Chef servers and load balancers ask for, and the search before a report."""
    answers = MappingProxyType({**ANSWERS, **dict.fromkeys((Invalid, UnknownRun, Conflict), _refused)})
    yield from entry.posts(COLLECTOR, base=_base, kind_of=scanner(_SIGNS, ACTION.name), answers=answers)
    for path in HEALTH_PATHS:
        yield Route(path=path, method="GET", handler=_health, scope=None)
    yield Route(path=SEARCH_PATH, method="POST", handler=_search, scope="runs", owner="body")


def _base(request: Request, settings: Settings) -> str:
    """None but the configured one: through a Chef server's nginx Host is a name of its own, which leads nowhere."""
    return settings.public_url.rstrip("/")


def _refused(verdict: Invalid | UnknownRun | Conflict, asked: Asked) -> Answer:
    answer: Answer = ANSWERS[type(verdict)](verdict, asked)
    if asked.kind not in _NOT_TOLD or answer is FORBIDDEN:
        return answer
    content = {
        "stored": False,
        "detail": "it is kept as a dead letter",
        "reason": verdict.reason,
        "details": dict(verdict.details),
    }
    return Answer(202, content, (), verdict.reason)


async def _health(request: Request) -> Answer:
    # Neither broker nor database is asked: Chef servers give it 400 ms, and fail their own health by it.
    return Answer(200, {"status": "ok"}, (), "healthy")


class _Search(msgspec.Struct):
    sha256: list[str]


_SEARCHES: Final = msgspec.json.Decoder(_Search)


async def _search(request: Request) -> Answer:
    """Every profile is said to be missing: of the others a reporter leaves out titles, impacts and code."""
    body = await request.body(_SEARCH_BYTES)
    try:
        missing = _SEARCHES.decode(body).sha256
    except (msgspec.DecodeError, RecursionError):
        details = {"sha256": "must be a list of checksums"}
        raise Declined(fault(400, "Validation failed", details, code="search")) from None
    content: dict[str, Any] = {"missing_sha256": missing}
    return Answer(200, content, (), "searched")
