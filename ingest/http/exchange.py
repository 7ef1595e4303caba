"""One request and its answer, as ASGI has them: the body is handed on as it comes, the answer goes out whole."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Scope

from ingest.http.answers import Answer, fault, render
from ingest.http.requests import Declined

BUFFERED: Final = 64 * 1024
"""A body that nobody reads is taken from the network up to this."""

RETRY: Final = ((b"retry-after", b"2"),)

_STATUS: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


class Carrier(Protocol):
    """What an exchange needs of its connection."""

    def wants(self, exchange: HttpExchange) -> None:
        """The application waits for the body."""

    def hold(self, exchange: HttpExchange, size: int) -> bool:
        """Whether so many bytes more may be held for it."""

    def answer(self, exchange: HttpExchange, head: bytes, body: bytes) -> None:
        """The whole answer."""


class HttpExchange:
    """`complete`: its request is here to the end. `answered`: its answer is on its way. `held`: bytes counted."""

    __slots__ = (
        "_fault", "_heard", "_line", "_parts", "_start", "answered", "body", "complete", "expects", "gone", "held",
        "keep_alive", "scope",
    )  # fmt: skip

    def __init__(self, line: Carrier, scope: Scope, *, keep_alive: bool, expects: bool) -> None:
        self._line = line
        self.scope = scope
        self.keep_alive = keep_alive
        self.expects = expects
        self.body = bytearray()
        self.complete = self.answered = self.gone = False
        self.held = 0
        self._heard: asyncio.Event | None = None
        self._fault: Answer | None = None
        self._start: MutableMapping[str, Any] | None = None
        self._parts: list[bytes] = []

    async def run(self, app: ASGIApp) -> None:
        """The application's whole work on it; whatever that raises is still an answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self.answered:
                answer = fault(503, "this server stops; send it again", code="stopping", headers=RETRY)
                self._send(answer.status, *render(answer))
        except Exception:
            structlog.get_logger("ingest.http").exception("request_failed", method=self.scope["method"])
        if not self.answered and not self.gone:
            headers, body = render(fault(500, "this is a fault of the server; its log says more", code="internal"))
            self._send(500, headers, body)

    def feed(self, body: bytes) -> None:
        """More of the body; what is not for keeping any more is let go."""
        if self.answered or self._fault is not None:
            return
        if not self._line.hold(self, len(body)):
            text = "too much is held here for others; nothing is stored yet, send it again"
            self.fail(fault(503, text, code="memory", headers=RETRY))
            return
        self.body += body
        self.wake()

    def fail(self, answer: Answer) -> None:
        """The body will not come, or is not wanted: whoever reads it gives this answer."""
        if self._fault is None:
            self._fault = answer
            self.body.clear()
        self.wake()

    def wake(self) -> None:
        if self._heard is not None:
            self._heard.set()

    async def receive(self) -> Message:
        """ASGI's. Raises Declined with the answer for a body that is broken, slow or too much."""
        self._line.wants(self)
        while not (self.body or self.complete or self.gone or self._fault is not None):
            self._heard = self._heard or asyncio.Event()
            self._heard.clear()
            await self._heard.wait()
        if self._fault is not None:
            raise Declined(self._fault)
        if self.gone or self.answered:
            return {"type": "http.disconnect"}
        body = bytes(self.body)
        self.body.clear()
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    async def send(self, event: Message) -> None:
        """ASGI's."""
        if event["type"] == "http.response.start":
            self._start = event
            return
        self._parts.append(event.get("body", b""))
        if not event.get("more_body", False) and self._start is not None and not self.answered:
            self._send(self._start["status"], self._start["headers"], b"".join(self._parts))

    def _send(self, status: int, headers: Any, body: bytes) -> None:
        if len(body) > BUFFERED and not self._line.hold(self, len(body)):
            text = "too much is held here for clients that don't read their answers; ask again"
            answer = fault(503, text, code="memory", headers=RETRY)
            status, (headers, body) = answer.status, render(answer)
        for name, value in headers:
            if name == b"connection" and value == b"close":
                self.keep_alive = False
        self.answered = True
        if not self.gone:
            self._line.answer(self, head(status, headers), b"" if self.scope["method"] == "HEAD" else body)


def head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Status line and header fields, without the empty line. Raises ValueError for fields that would be two."""
    lines = b"".join(b"%s: %s\r\n" % field for field in headers)
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise ValueError("a header field holds a line break")
    return _STATUS[status] + lines
