"""A POST's way in, through whichever door: its body within bounds, published unparsed, its outcome answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ingest.http.answers import ANSWERS, Answer, Answers, Asked, kind_off, of_outcome
from ingest.http.negotiation import CODINGS, content_coding, preference
from ingest.http.outcome import HOPELESS, Outcome, Refused
from ingest.http.requests import Declined, Request, forbidden
from ingest.http.routes import BY_KIND, Route
from ingest.publisher.publisher import Publisher
from ingest.shim.doors.sender import sender_of
from ingest.spool.spool import Spool
from ingest.telemetry.tracing import ShimTracing
from schemas.doors import Door
from schemas.message import Message
from schemas.settings import Settings, variable

Admit = Callable[[Request, Settings], None]
"""Raises Declined for a request that is none of the door's protocol; before its body is read."""
KindOf = Callable[[bytes, str | None], str]
"""The kind of a body in a coding, as far as it can be told without parsing it."""


Base = Callable[[Request, Settings], str]
"""What URLs in answers begin with."""


def _everybody(request: Request, settings: Settings) -> None:
    return


def _as_asked(request: Request, settings: Settings) -> str:
    return request.base(settings.public_url)


@dataclass(frozen=True, slots=True)
class _Way:
    """A door with its settings read: bytes, seconds by kind, and what its module says."""

    door: Door
    limit: int
    waits: Mapping[str, float]
    wait: float
    admit: Admit
    base: Base
    kind_of: KindOf | None
    answers: Answers
    off: Mapping[str, str]
    """Kinds of which nothing is kept -> the variable that says so."""

    def needs(self, kind: str | None) -> str:
        """The scope that a token must have to post this kind."""
        return BY_KIND if kind is None else self.door.scopes.get(kind, self.door.scope)


class Entry:
    """Makes the POST routes of doors."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        tracing: ShimTracing | None = None,
        spool: Spool | None = None,
        left_out: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        """`left_out` is told of each message that is not kept since its kind is off: its door's word, its kind."""
        self._settings = settings
        self._left_out = left_out
        self._publisher = publisher
        self._spool = spool
        self._tracing = tracing

    def posts(
        self,
        door: Door,
        *,
        admit: Admit = _everybody,
        base: Base = _as_asked,
        kind_of: KindOf | None = None,
        answers: Answers = ANSWERS,
    ) -> Iterator[Route]:
        """A route for each of the door's paths. `kind_of` is asked where the path does not say the kind."""
        settings = self._settings
        waits = {kind: getattr(settings, name) for kind, name in door.waits.items()}
        limit, wait = getattr(settings, door.limit), getattr(settings, door.wait)
        off = {kind: variable(name) for kind, name in door.switches.items() if not getattr(settings, name)}
        way = _Way(door, limit, waits, wait, admit, base, kind_of, answers, off)
        for path, kind in door.posts.items():
            # A body that tells its kind tells whose it is as well, whatever the path says.
            owner: Literal["body"] | None = "body" if kind is None or "{organization}" not in path else None
            yield Route(
                path=path, method="POST", handler=partial(self._post, way, kind), scope=way.needs(kind), owner=owner
            )

    async def _post(self, way: _Way, kind: str | None, request: Request) -> Answer:
        settings = self._settings
        way.admit(request, settings)
        base, coding = way.base(request, settings), _coding(request)
        # Before the body is read: who can't be served needn't send it all.
        refusal = self._publisher.refusal()
        if refusal is not None and not (way.door.spooled and self._spool) and not way.off:
            return of_outcome(Refused(refusal), Asked(kind or "", base, request.path), way.answers)
        body = await request.body(min(way.limit, self._publisher.message_bytes))
        if kind is None:
            assert way.kind_of is not None
            kind = way.kind_of(body, coding)
            if request.scopes is not None and way.needs(kind) not in request.scopes:
                raise forbidden(request, f"not for {way.needs(kind)}")
        if kind in way.off:
            self._left_out(way.door.word, kind)
            return kind_off(kind, way.off[kind])
        default, longest = way.waits.get(kind, way.wait), settings.max_wait_seconds
        wanted = preference(request.fields.get(b"prefer"), default=default, longest=longest)
        params = request.params
        named = params.get("organization"), params.get("node"), params.get("run_id")
        speaks = request.speaks_for, request.speaks_as
        message = Message(kind, body, way.door.word, *named, coding, *speaks, sender_of(request))
        asked = Asked(kind, base, request.path, wanted.applied)
        return await self._publish(way, message, wanted.wait, asked, request)

    async def _publish(self, way: _Way, message: Message, wait: float, asked: Asked, request: Request) -> Answer:
        confirm = way.waits.get(message.kind, math.inf)
        if self._tracing is None:
            request.correlation_id, outcome = self._publisher.publish(message, wait=wait, confirm=confirm)
            return of_outcome(await self._spooled(way, message, await outcome), asked, way.answers)
        with self._tracing.post(message, request.fields) as trace:
            request.correlation_id, outcome = self._publisher.publish(
                message, wait=wait, confirm=confirm, traceparent=trace.traceparent
            )
            answer = of_outcome(await self._spooled(way, message, await outcome), asked, way.answers)
            trace.verdict(answer.code)
            return answer

    async def _spooled(self, way: _Way, message: Message, outcome: Outcome) -> Outcome:
        """What becomes of a message of which the broker said that, where its sender won't send it again."""
        if self._spool is None or message.kind not in way.door.spooled or not isinstance(outcome, Refused):
            return outcome
        if outcome.refusal in HOPELESS:
            return outcome
        return await self._spool.keep(message, way.waits.get(message.kind, way.wait))


def _coding(request: Request) -> str | None:
    try:
        return content_coding(request.fields.get(b"content-encoding"))
    except ValueError as error:
        details = {"Content-Encoding": f"{str(error)!r} is none of gzip, identity"}
        content = {"error": "Validation failed", "details": details}
        raise Declined(Answer(415, content, ((b"accept-encoding", CODINGS),), "content_encoding")) from None
