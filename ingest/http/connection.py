"""One connection: HTTP/1.1 by httptools, in a state that is always one of nine, each with a bound."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from enum import Enum
from math import inf
from typing import Final, cast

import httptools
from starlette.types import ASGIApp

from ingest.http.answers import Answer, fault, render
from ingest.http.exchange import BUFFERED, RETRY, Exchange, head
from ingest.http.limits import AWAY_BYTES, Bounds, Held

_SLICE: Final = 16 * 1024
"""Parsed at once: so many small requests may be in it before the first one is answered."""
_FIELD_COST, _REQUEST_COST = 128, 2048
"""What a header field and a request take beside their bytes."""
_LINGER_SECONDS: Final = 5.0
_UNSENT: Final = 16 * 1024
_MEGABYTE: Final = 1024 * 1024


class State(Enum):
    """What is waited for. `WORKING` alone is ours; in each other one the client has so long, and then it ends."""

    SILENT = "the first byte"
    HEAD = "the rest of a header"
    BODY = "the rest of a body"
    WORKING = "the application"
    WRITING = "the client to read its answer"
    DRAINING = "the end of a body that is answered"
    KEPT = "another request"
    LINGERING = "the client to see its last answer"
    CLOSED = "nothing"


class _Refused(Exception):
    """Leaves the parser, which knows no way to refuse a request."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class Service:
    """What the connections of one server share. `refused` is told of answers given before there was a request."""

    def __init__(self, app: ASGIApp, bounds: Bounds, refused: Callable[[Answer], None]) -> None:
        self.app = app
        self.bounds = bounds
        self.held = Held(bounds.held_bytes)
        self.refused = refused
        self.connections: dict[Connection, None] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.now: Callable[[], float] = time.monotonic
        self.stopping = False
        self._date = (0, b"")

    def date(self) -> bytes:
        second = int(time.time())
        if self._date[0] != second:
            self._date = second, b"date: %s\r\n" % formatdate(second, usegmt=True).encode()
        return self._date[1]

    def tick(self) -> None:
        """End what has lasted too long; called a few times in each bound."""
        now = self.now()
        for each in list(self.connections):
            if each.due < now:
                each.late()


class Connection(asyncio.Protocol):
    """Parses, starts exchanges one after another, writes their answers; never ends without one that was asked for."""

    def __init__(self, service: Service, full: bool = False) -> None:
        self._service = service
        self._full = full
        self._bounds = service.bounds
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._reading: Exchange | None = None
        self._last: Answer | None = None
        self._stash = b""
        self._resumed = self._offered = self._deaf = self._paused = self._stopped = self._begun = self._ended = False
        self._quiet = self._away = self._trailers = 0
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self.state, self.due = State.SILENT, inf

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=_UNSENT)
        self._server, self._client = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        self._tls = transport.get_extra_info("sslcontext") is not None
        self._service.connections[self] = None
        self._enter(State.SILENT)
        if self._full:
            text = "all connections are taken; come again"
            self._refuse(fault(503, text, code="connections", headers=RETRY))

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.connections.pop(self, None)
        self.state, self.due = State.CLOSED, inf
        self._keep(b"")
        for each in [*self._queue, *([self._reading] if self._reading and self._reading not in self._queue else [])]:
            each.gone = True
            each.wake()
            self._release(each)
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._read_away(len(data))
        elif self._stash or (self._queue and self._reading is None):
            # Too early: the request before it is not answered yet.
            self._keep(self._stash + data)
            self._stop_reading()
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        """Who has said all may still listen: what was asked in full is answered, what was not is 400."""
        if self.state in (State.SILENT, State.KEPT, State.LINGERING, State.DRAINING) or self._tls:
            return False
        self._ended = True
        if self.state in (State.HEAD, State.BODY):
            # Most who end here are gone, and nobody can tell: they are answered, and that is what the log says.
            self._break(fault(400, "the request ended before it was complete", code="incomplete"))
        for each in self._queue:
            each.keep_alive = False
        return True

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self.state is State.WRITING:
            self._written()

    # The parser's side.

    def _feed(self, data: bytes) -> None:
        view, at = memoryview(data), 0
        while at < len(data) and not self._deaf:
            if self._queue and self._reading is None:
                self._keep(data[at:])
                self._stop_reading()
                return
            piece = view[at : at + _SLICE]
            at += len(piece)
            self._quiet += len(piece)
            if self.state in (State.SILENT, State.KEPT):
                self._enter(State.HEAD)
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                at += upgrade.args[0] - len(piece)
                self._ignore_upgrade()
            except httptools.HttpParserError as error:
                self._misread(error)
            else:
                if self._quiet > self._bounds.header_bytes + _SLICE:
                    self._break(fault(431, "the header is too large", code="header"))

    def _misread(self, error: httptools.HttpParserError) -> None:
        if self._reading is None and self._queue and not self._queue[-1].keep_alive:
            self._deaf = True  # Said after "Connection: close": not for us.
            return
        why = error.__context__
        self._break(why.answer if isinstance(why, _Refused) else fault(400, "this is no HTTP/1.1", code="framing"))

    def _ignore_upgrade(self) -> None:
        """An offer that is not taken changes nothing (RFC 9110, 7.8): its body is a body all the same."""
        self._parser = httptools.HttpRequestParser(self)
        self._offered, self._resumed = False, True
        framing = (b"content-length", b"transfer-encoding")
        lines = b"".join(b"%s: %s\r\n" % field for field in self._fields if field[0] in framing)
        closing = b"" if self._reading is None or self._reading.keep_alive else b"connection: close\r\n"
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + lines + closing + b"\r\n")
        except httptools.HttpParserError as error:
            self._misread(error)

    def on_message_begin(self) -> None:
        if not self._resumed:
            self._begun = True
            self._url, self._fields, self._trailers = b"", [], 0

    def on_url(self, url: bytes) -> None:
        if not self._resumed:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is None:
            self._fields.append((name.lower(), value))
        elif not self._resumed:
            # A trailer field is no header field: it is counted and forgotten.
            self._trailers += len(name) + len(value) + 4
            if self._trailers > self._bounds.header_bytes:
                raise _Refused(fault(431, "the trailer fields are too large", code="header"))

    def on_headers_complete(self) -> None:
        self._quiet = self._away = 0
        self._begun = False
        if self._resumed:
            self._resumed = False
            return
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._fields)
        if size > self._bounds.header_bytes:
            raise _Refused(fault(431, "the header is too large", code="header"))
        parser = self._parser
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        if version not in ("1.0", "1.1"):
            raise _Refused(fault(400, "this is no HTTP/1.1", code="framing"))
        try:
            url = httptools.parse_url(self._url)
            path = url.path
            path.decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError):
            raise _Refused(fault(400, "the target of the request is no URL", code="framing")) from None
        self._offered = parser.should_upgrade()
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": version,
            "server": self._server[:2], "client": self._client[:2] if self._client else None,
            "scheme": "https" if self._tls else "http", "root_path": "", "method": method,
            "path": path.decode("ascii"), "raw_path": path, "query_string": url.query or b"",
            "headers": self._fields, "state": {},
        }  # fmt: skip
        expects = version == "1.1" and any(n == b"expect" and v.lower() == b"100-continue" for n, v in self._fields)
        keep_alive = version != "1.0" and parser.should_keep_alive() and not self._service.stopping
        exchange = Exchange(self, scope, keep_alive=keep_alive, expects=expects)
        if not self.hold(exchange, size + _FIELD_COST * len(self._fields) + _REQUEST_COST):
            text = "too much is held here for others; send it again"
            raise _Refused(fault(503, text, code="memory", headers=RETRY))
        self._reading = exchange
        self._queue.append(exchange)
        if len(self._queue) == 1:
            self._start(exchange)

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        exchange = self._reading
        assert exchange is not None
        if exchange.answered:
            self._read_away(len(body))
            return
        exchange.expects = False
        exchange.feed(body)
        if len(exchange.body) > BUFFERED:
            self._stop_reading()

    def on_message_complete(self) -> None:
        self._quiet = 0
        exchange = self._reading
        if self._offered or exchange is None:
            return
        self._reading = None
        exchange.complete = True
        if not exchange.answered:
            if exchange is self._queue[0]:
                self._enter(State.WORKING)
            exchange.wake()
        elif self.state is State.DRAINING:
            self._written()

    # The exchanges' side.

    def _start(self, exchange: Exchange) -> None:
        self._enter(State.WORKING if exchange.complete else State.BODY)
        task = asyncio.get_running_loop().create_task(exchange.run(self._service.app))
        self._service.tasks.add(task)
        task.add_done_callback(self._service.tasks.discard)

    def wants(self, exchange: Exchange) -> None:
        if exchange.expects and not exchange.complete and not self._transport.is_closing():
            exchange.expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._reading is exchange and len(exchange.body) <= BUFFERED:
            self._go_on_reading()

    def hold(self, exchange: Exchange, size: int) -> bool:
        if not self._service.held.take(size):
            return False
        exchange.held += size
        return True

    def answer(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        # Whether the body still comes after an expectation that was not met, nobody can tell.
        ended = self._deaf and self._last is None and len(self._queue) == 1
        if ended or self._service.stopping or (exchange.expects and not exchange.complete):
            exchange.keep_alive = False
        exchange.body.clear()
        closing = b"" if exchange.keep_alive else b"connection: close\r\n"
        self._transport.write(b"".join((head, self._service.date(), closing, b"\r\n", body)))
        if self._paused:
            self._enter(State.WRITING, self._bounds.seconds * (1 + len(body) // _MEGABYTE))
        else:
            self._written()

    def _written(self) -> None:
        """The first answer has left: go on with what comes after it."""
        exchange = self._queue[0]
        if not exchange.complete:
            if exchange.keep_alive:
                self._enter(State.DRAINING)
                self._go_on_reading()
            else:
                self._linger()
            return
        self._queue.popleft()
        self._release(exchange)
        if self._queue and exchange.keep_alive:
            self._start(self._queue[0])
        elif self._last is not None:
            self._refuse(self._last)
        elif not exchange.keep_alive:
            self._linger() if self._stash or self._queue or self._deaf else self._close()
        elif self._service.stopping:
            self._close()
        else:
            self._enter(State.HEAD if self._begun else State.KEPT)
            stash = self._stash
            self._keep(b"")
            self._go_on_reading()
            self._feed(stash)

    # Ends.

    def late(self) -> None:
        """The state has lasted as long as it may."""
        if self.state is State.HEAD:
            self._break(fault(408, "the header did not arrive in time", code="slow_header"))
        elif self.state is State.BODY:
            text = f"the body did not arrive within {self._bounds.seconds:g} s"
            self._break(fault(408, text, code="slow_body"))
        elif self.state in (State.SILENT, State.KEPT):
            self._close()  # Nothing was asked, so nothing is answered.
        elif self.state is not State.WORKING:
            self._transport.abort()

    def shutdown(self) -> None:
        """No further request; those that are here, or on their way, are answered."""
        if self.state in (State.SILENT, State.KEPT):
            self._close()

    def _break(self, answer: Answer) -> None:
        """Nothing that comes after this can be read: answer what was asked, in its turn, and end."""
        self._deaf = True
        self._go_on_reading()
        if self._reading is not None:
            self._reading.keep_alive = False
            if self.state is State.BODY:
                self.due = inf
            self._reading.fail(answer)
            if self._reading.answered:
                self._linger()
        elif self._queue:
            self._last = answer
        else:
            self._refuse(answer)

    def _refuse(self, answer: Answer) -> None:
        self._service.refused(answer)
        self._say(answer)

    def _say(self, answer: Answer) -> None:
        headers, body = render(answer)
        self._transport.write(head(answer.status, headers) + self._service.date() + b"connection: close\r\n\r\n" + body)
        self._linger()

    def _linger(self) -> None:
        """Say no more, and read away what comes: a close now would take the answer from whoever is still sending."""
        self._deaf = True
        self._keep(b"")
        if self._ended:
            self._close()  # Nothing more will come.
            return
        self._enter(State.LINGERING, min(_LINGER_SECONDS, self._bounds.seconds))
        if not self._tls:
            self._transport.write_eof()
        self._go_on_reading()

    def _close(self) -> None:
        self._deaf = True
        self._enter(State.LINGERING)
        self._transport.close()

    def _read_away(self, size: int) -> None:
        self._away += size
        if self._away > AWAY_BYTES:
            self._transport.abort()

    # Small change.

    def _enter(self, state: State, seconds: float | None = None) -> None:
        self.state = state
        if state is State.WORKING:
            self.due = inf
            return
        usual = self._bounds.keep_alive_seconds if state is State.KEPT else self._bounds.seconds
        self.due = self._service.now() + (usual if seconds is None else seconds)

    def _keep(self, stash: bytes) -> None:
        held = self._service.held
        held.give(len(self._stash))
        if not held.take(len(stash)):
            # No room for what came too early: the answer before it says that the connection ends.
            self._queue[0].keep_alive, self._deaf, stash = False, True, b""
        self._stash = stash

    def _release(self, exchange: Exchange) -> None:
        self._service.held.give(exchange.held)
        exchange.held = 0

    def _stop_reading(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if self._stopped and not self._transport.is_closing():
            self._stopped = False
            self._transport.resume_reading()
