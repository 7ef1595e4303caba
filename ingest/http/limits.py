"""uvicorn's HTTP/1.1 protocol with bounds: how many connections, how large a header, how slow a client."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from schemas.settings import Settings

_READ: Final = 256 * 1024
"""The most that comes in one piece, in which a pipelined request may follow another one's body."""
_SPARE_FILES: Final = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """Connections at once, bytes of a request line with its header fields, seconds these may take."""

    connections: int
    header_bytes: int
    seconds: float


def bounded(settings: Settings) -> type[HttpToolsProtocol]:
    """The protocol class with the bounds of these settings; the process may then open as many files as it takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + _SPARE_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft not in (resource.RLIM_INFINITY,) and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    bounds = Bounds(settings.max_connections, settings.max_header_bytes, settings.slow_client_seconds)
    return type("Bounded", (_Bounded,), {"bounds": bounds})


class _HeaderTooLarge(Exception):
    """Leaves the parser, which knows no way to refuse a request."""


class _Bounded(HttpToolsProtocol):
    bounds: ClassVar[Bounds]

    _piece = 0
    _head_bytes = 0
    _in_head = False
    _too_large = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.bounds.seconds, self._late)
        if len(self.connections) > self.bounds.connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, b"retry-after: 2\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._piece = len(data)
        if self._in_head:
            self._head_bytes += self._piece
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            if self._head_bytes > self.bounds.header_bytes + _READ:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._timer is None:
                self._timer = self.loop.call_later(self.bounds.seconds, self._late)

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, self._piece
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        # The bytes that came may hold more than the header: count it only where it may be too large.
        if self._head_bytes > self.bounds.header_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.header_bytes:
                self._too_large = True
                raise _HeaderTooLarge
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._stop_timer()
        too_large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self._refuse(too_large if self._too_large else HTTPStatus.BAD_REQUEST)

    def _late(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()  # Nothing was asked, so nothing is answered.

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, header: bytes = b"") -> None:
        """Answer without a request, unless another one's answer is under way, and close."""
        if self.cycle is None or self.cycle.response_complete:
            body = b'{"error": "%s"}' % status.phrase.lower().encode()
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            head += f"content-length: {len(body)}\r\nconnection: close\r\n"
            self.transport.write(head.encode() + header + b"\r\n" + body)
        self.transport.close()
