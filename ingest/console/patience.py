"""uvicorn's connection, with a bound on how long and how large a client may make it wait: no slot is held for ever."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PatientProtocol(HttpToolsProtocol):
    """Ends a connection whose request, from its first byte to its last, or whose reading of an answer takes longer than
    `seconds`, or whose header is larger than `header_bytes`. Between two requests uvicorn's own bound holds."""

    def __init__(self, *args: Any, seconds: float, header_bytes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = seconds
        self._header_bytes = header_bytes
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._head: int | None = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._read()
        self._written()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        # What is left of it once the parser has seen it is still a header.
        if self._head is not None and self._head > self._header_bytes:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head = 0
        self._read()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self._writing or self._end_in_time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._written()

    def _expect(self) -> None:
        self._reading = self._reading or self._end_in_time()

    def _end_in_time(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self._seconds, self.transport.abort)

    def _read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _written(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


def patient(seconds: float, header_bytes: int) -> Any:
    """What uvicorn makes its connections of."""
    return partial(PatientProtocol, seconds=seconds, header_bytes=header_bytes)
