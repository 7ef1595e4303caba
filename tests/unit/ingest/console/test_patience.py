"""A client that takes its time takes nobody else's place in the console for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from uvicorn.server import ServerState

from ingest.console.patience import PatientProtocol, patient
from ingest.console.server import configured
from schemas.settings import Settings

REQUEST = b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nto=/"


class Timer:
    """What is to happen, until it is cancelled."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        self.seconds, self.act, self.cancelled = seconds, act, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """A loop whose time passes when the test says so; it runs no application."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, act: Callable[[], None]) -> Timer:
        self.timers.append(Timer(seconds, act))
        return self.timers[-1]

    def create_task(self, coroutine: Any) -> asyncio.Future[None]:
        coroutine.close()
        return asyncio.Future(loop=asyncio.new_event_loop())

    @property
    def waiting(self) -> list[Timer]:
        return [each for each in self.timers if not each.cancelled]


class Transport:
    aborted: ClassVar[bool] = False

    def abort(self) -> None:
        self.aborted = True  # type: ignore[misc]

    def get_extra_info(self, _name: str) -> None:
        return None

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


async def nobody(_scope: Any, _receive: Any, _send: Any) -> None:
    """No application runs here."""


@pytest.fixture
def opened() -> tuple[PatientProtocol, Loop, Transport]:
    loop, transport = Loop(), Transport()
    config = configured(nobody, Settings())
    made = patient(30.0, 1024)(config=config, server_state=ServerState(), app_state={}, _loop=loop)
    made.connection_made(transport)
    return made, loop, transport


@pytest.mark.parametrize("sent", [b"", REQUEST[:20], REQUEST[:-1]], ids=["nothing", "half a header", "half a body"])
def test_who_does_not_come_to_an_end_is_ended(opened: tuple[PatientProtocol, Loop, Transport], sent: bytes) -> None:
    """However slowly the bytes come: the time runs from the first one, or from the connection."""
    made, loop, transport = opened
    for at in range(len(sent)):
        made.data_received(sent[at : at + 1])
    [timer] = loop.waiting
    assert (timer.seconds, transport.aborted) == (30.0, False)
    timer.act()
    assert transport.aborted


def test_a_request_that_came_is_waited_for_no_more(opened: tuple[PatientProtocol, Loop, Transport]) -> None:
    """Its answer takes the time it takes; the next request has its own time."""
    made, loop, transport = opened
    made.data_received(REQUEST)
    assert loop.waiting == []
    made.data_received(REQUEST[:20])
    [timer] = loop.waiting
    timer.act()
    assert transport.aborted


def test_who_does_not_read_is_ended(opened: tuple[PatientProtocol, Loop, Transport]) -> None:
    """Who reads on in time is not."""
    made, loop, transport = opened
    made.data_received(REQUEST)
    made.pause_writing()
    made.resume_writing()
    assert loop.waiting == []
    made.pause_writing()
    [timer] = loop.waiting
    timer.act()
    assert transport.aborted


def test_a_header_has_a_bound(opened: tuple[PatientProtocol, Loop, Transport]) -> None:
    """Also one that would never end; a body is bounded by the form that it is."""
    made, _, transport = opened
    large = b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 900
    made.data_received(large + b"\r\n\r\n")
    assert not transport.aborted
    made.data_received(large)
    made.data_received(b"x" * 200)
    assert transport.aborted
