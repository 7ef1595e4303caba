"""One connection: requests answered one after another, in a state that is always one of nine, each with a limit."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from typing import Final, cast

from ingest.http.answers import Answer, fault, render
from ingest.http.exchange import BUFFERED, RETRY, HttpExchange, head
from ingest.http.limits import AWAY_BYTES
from ingest.http.parsing import Parser, RequestHead, Unreadable
from ingest.http.service import ConnectionState, Service

_SLICE: Final = 16 * 1024
"""Parsed at once: so many small requests may be in it before the first one is answered."""
_LINGER_SECONDS: Final = 5.0
_UNSENT: Final = 16 * 1024
_MEGABYTE: Final = 1024 * 1024


class ClientConnection(asyncio.Protocol):
    """Starts exchanges one after another, writes their answers; never ends without one that was asked for."""

    def __init__(self, service: Service, full: bool = False) -> None:
        self._service = service
        self._full = full
        self._limits = service.limits
        self._queue: deque[HttpExchange] = deque()
        self._reading: HttpExchange | None = None
        self._last: Answer | None = None
        self._stash = b""
        self._deaf = self._paused = self._stopped = self._ended = False
        self._quiet = self._away = 0
        self.state, self.due = ConnectionState.SILENT, inf

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=_UNSENT)
        self._tls = transport.get_extra_info("sslcontext") is not None
        self._parser = Parser(self, self._limits.header_bytes, self._scope(transport))
        self._service.connections[self] = None
        self._enter(ConnectionState.SILENT)
        if self._full:
            text = "all connections are taken; come again"
            self._refuse(fault(503, text, code="connections", headers=RETRY))

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.connections.pop(self, None)
        self.state, self.due = ConnectionState.CLOSED, inf
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
        if (
            self.state
            in (ConnectionState.SILENT, ConnectionState.KEPT, ConnectionState.LINGERING, ConnectionState.DRAINING)
            or self._tls
        ):
            return False
        self._ended = True
        if self.state in (ConnectionState.HEAD, ConnectionState.BODY):
            # Most who end here are gone, and nobody can tell: they are answered, and that is what the log says.
            self._break(fault(400, "the request ended before it was complete", code="incomplete"))
        for each in self._queue:
            each.keep_alive = False
        return True

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self.state is ConnectionState.WRITING:
            self._written()

    # The parser's side.

    def _scope(self, transport: asyncio.Transport) -> dict[str, object]:
        server, client = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        return {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "root_path": "",
            "scheme": "https" if self._tls else "http",
            "server": server[:2], "client": client[:2] if client else None,
        }  # fmt: skip

    def _feed(self, data: bytes) -> None:
        view, at = memoryview(data), 0
        while at < len(data) and not self._deaf:
            if self._queue and self._reading is None:
                self._keep(data[at:])
                self._stop_reading()
                return
            piece = view[at : at + _SLICE]
            self._quiet += len(piece)
            if self.state in (ConnectionState.SILENT, ConnectionState.KEPT):
                self._enter(ConnectionState.HEAD)
            try:
                at += self._parser.feed(piece)
            except Unreadable as unreadable:
                self._misread(unreadable.answer)
                return
            if self._quiet > self._limits.header_bytes + _SLICE:
                self._break(fault(431, "the header is too large", code="header"))

    def _misread(self, answer: Answer) -> None:
        if self._reading is None and self._queue and not self._queue[-1].keep_alive:
            self._deaf = True  # Said after "Connection: close": not for us.
        else:
            self._break(answer)

    def on_head(self, head: RequestHead) -> None:
        self._quiet = self._away = 0
        keep_alive = head.keep_alive and not self._service.stopping
        exchange = HttpExchange(self, head.scope, keep_alive=keep_alive, expects=head.expects)
        if not self.hold(exchange, head.cost):
            text = "too much is held here for others; send it again"
            raise Unreadable(fault(503, text, code="memory", headers=RETRY))
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

    def on_complete(self) -> None:
        self._quiet = 0
        exchange, self._reading = self._reading, None
        assert exchange is not None
        exchange.complete = True
        if not exchange.answered:
            if exchange is self._queue[0]:
                self._enter(ConnectionState.WORKING)
            exchange.wake()
        elif self.state is ConnectionState.DRAINING:
            self._written()

    # The exchanges' side.

    def _start(self, exchange: HttpExchange) -> None:
        self._enter(ConnectionState.WORKING if exchange.complete else ConnectionState.BODY)
        task = asyncio.get_running_loop().create_task(exchange.run(self._service.app))
        self._service.tasks.add(task)
        task.add_done_callback(self._service.tasks.discard)

    def wants(self, exchange: HttpExchange) -> None:
        if exchange.expects and not exchange.complete and not self._transport.is_closing():
            exchange.expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._reading is exchange and len(exchange.body) <= BUFFERED:
            self._go_on_reading()

    def hold(self, exchange: HttpExchange, size: int) -> bool:
        if not self._service.held.take(size):
            return False
        exchange.held += size
        return True

    def answer(self, exchange: HttpExchange, head: bytes, body: bytes) -> None:
        # Whether the body still comes after an expectation that was not met, nobody can tell.
        ended = self._deaf and self._last is None and len(self._queue) == 1
        if ended or self._service.stopping or (exchange.expects and not exchange.complete):
            exchange.keep_alive = False
        exchange.body.clear()
        closing = b"" if exchange.keep_alive else b"connection: close\r\n"
        self._transport.write(b"".join((head, self._service.date(), closing, b"\r\n", body)))
        if self._paused:
            self._enter(ConnectionState.WRITING, self._limits.seconds * (1 + len(body) // _MEGABYTE))
        else:
            self._written()

    def _written(self) -> None:
        """The first answer has left: go on with what comes after it."""
        exchange = self._queue[0]
        if not exchange.complete:
            if exchange.keep_alive:
                self._enter(ConnectionState.DRAINING)
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
            self._enter(ConnectionState.HEAD if self._parser.begun else ConnectionState.KEPT)
            stash = self._stash
            self._keep(b"")
            self._go_on_reading()
            self._feed(stash)

    # Ends.

    def late(self) -> None:
        """The state has lasted as long as it may."""
        if self.state is ConnectionState.HEAD:
            self._break(fault(408, "the header did not arrive in time", code="slow_header"))
        elif self.state is ConnectionState.BODY:
            text = f"the body did not arrive within {self._limits.seconds:g} s"
            self._break(fault(408, text, code="slow_body"))
        elif self.state in (ConnectionState.SILENT, ConnectionState.KEPT):
            self._close()  # Nothing was asked, so nothing is answered.
        elif self.state is not ConnectionState.WORKING:
            self._transport.abort()

    def shutdown(self) -> None:
        """No further request; those that are here, or on their way, are answered."""
        if self.state in (ConnectionState.SILENT, ConnectionState.KEPT):
            self._close()

    def _break(self, answer: Answer) -> None:
        """Nothing that comes after this can be read: answer what was asked, in its turn, and end."""
        self._deaf = True
        self._go_on_reading()
        if self._reading is not None:
            self._reading.keep_alive = False
            if self.state is ConnectionState.BODY:
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
        self._enter(ConnectionState.LINGERING, min(_LINGER_SECONDS, self._limits.seconds))
        if not self._tls:
            self._transport.write_eof()
        self._go_on_reading()

    def _close(self) -> None:
        self._deaf = True
        self._enter(ConnectionState.LINGERING)
        self._transport.close()

    def _read_away(self, size: int) -> None:
        self._away += size
        if self._away > AWAY_BYTES:
            self._transport.abort()

    # Small change.

    def _enter(self, state: ConnectionState, seconds: float | None = None) -> None:
        self.state = state
        if state is ConnectionState.WORKING:
            self.due = inf
            return
        usual = self._limits.keep_alive_seconds if state is ConnectionState.KEPT else self._limits.seconds
        self.due = self._service.now() + (usual if seconds is None else seconds)

    def _keep(self, stash: bytes) -> None:
        held = self._service.held
        held.give(len(self._stash))
        if not held.take(len(stash)):
            # No room for what came too early: the answer before it says that the connection ends.
            self._queue[0].keep_alive, self._deaf, stash = False, True, b""
        self._stash = stash

    def _release(self, exchange: HttpExchange) -> None:
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
