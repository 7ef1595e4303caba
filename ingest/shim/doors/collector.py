"""The door of Chef's data collector: actions of Chef servers, runs of chef-clients, and what else they send there.

What senders make of an answer decides its class: 4xx to a run's start and its client tells nothing of the run's end,
to an end and the oldest clients abort the run. So both are 202 where they are refused, and the letter keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import msgspec

from ingest.http.answers import ANSWERS, FORBIDDEN, Answer, Answers, Asked, fault
from ingest.http.outcome import Queued
from ingest.http.requests import Declined, Request
from ingest.http.routes import Route
from ingest.shim.doors.entry import Entry
from ingest.shim.doors.scan import Sign, scanner
from schemas.doors import COLLECTOR
from schemas.kinds.action import KIND as ACTION
from schemas.kinds.collector_end import KIND as END
from schemas.kinds.collector_start import KIND as START
from schemas.kinds.compliance import KIND as COMPLIANCE
from schemas.kinds.node_ping import KIND as NODE_PING
from schemas.kinds.unknown import KIND as UNKNOWN
from schemas.settings import Settings
from schemas.verdict import Conflict, Created, Invalid, UnknownRun

HEALTH_PATHS: Final = ("/data-collector/v0/", "/data-collector/v0")
SEARCH_PATH: Final = "/compliance/profiles/metasearch"
_SEARCH_BYTES: Final = 256 * 1024
"""The checksums of three thousand profiles."""

_SIGNS: Final = (
    Sign("message_type", {"action": ACTION.name, "run_start": START.name, "run_converge": END.name}),
    Sign("event_type", {"node_ping": NODE_PING.name}),
    Sign("profiles", kind=COMPLIANCE.name),
)
_NOT_TOLD: Final = frozenset({START.name, END.name})
"""Kinds whose senders lose more by hearing of a refusal than they can mend."""
_READ: Final = frozenset({ACTION.name, START.name, END.name})
"""Kinds that can be read where an answer says."""


def routes(entry: Entry) -> Iterable[Route]:
    """Its POSTs, the constant that Chef servers and load balancers ask for, and the search before a report."""
    own: Answers = {
        Created: _created, Queued: _queued, Invalid: _refused, UnknownRun: _refused, Conflict: _refused,
    }  # fmt: skip
    answers = MappingProxyType({**ANSWERS, **own})
    yield from entry.posts(COLLECTOR, base=_base, kind_of=scanner(_SIGNS, UNKNOWN.name), answers=answers)
    for path in HEALTH_PATHS:
        yield Route(path=path, method="GET", handler=_health, scope=None)
    yield Route(path=SEARCH_PATH, method="POST", handler=_search, scope="runs", owner="body")


def _base(request: Request, settings: Settings) -> str:
    """None but the configured one: through a Chef server's nginx Host is a name of its own, which leads nowhere."""
    return settings.public_url.rstrip("/")


def _created(verdict: Created, asked: Asked) -> Answer:
    return ANSWERS[Created](verdict, asked) if asked.kind in _READ else Answer(201, {}, (), verdict.code)


def _queued(outcome: Queued, asked: Asked) -> Answer:
    answer: Answer = ANSWERS[Queued](outcome, asked)
    if asked.kind in _READ or isinstance(answer.content, bytes):
        return answer
    content = {name: value for name, value in answer.content.items() if name not in ("uri", "uri_template")}
    return replace(answer, content=content)


def _refused(verdict: Invalid | UnknownRun | Conflict, asked: Asked) -> Answer:
    answer: Answer = ANSWERS[type(verdict)](verdict, asked)
    if answer is FORBIDDEN or isinstance(answer.content, bytes):
        return answer
    letter = {} if verdict.letter is None else {"letter": verdict.letter}
    if asked.kind not in _NOT_TOLD:
        return replace(answer, content={**answer.content, **letter})
    content = {
        "stored": False,
        "detail": "it is kept as a dead letter",
        "reason": verdict.reason,
        "details": dict(verdict.details),
    }
    return Answer(202, content | letter, (), verdict.reason)


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
