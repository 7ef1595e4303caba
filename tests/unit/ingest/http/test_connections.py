"""Every state of a connection times every bound, and every framing: real sockets, and a clock that is told the time."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from throwaway_ca import ThrowawayCA

from ingest.http.answers import Answer, render
from ingest.http.limits import Limits
from ingest.http.listener import Listener
from ingest.http.requests import Declined, Request
from ingest.http.service import ConnectionState, Service
from ingest.shim.metrics import ShimMetrics

BODY_LIMIT = 100_000
SECONDS = 30.0
POST = b"POST /a HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /unread HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
LAST = GET.replace(b"Host: h", b"Host: h\r\nConnection: close")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers /a with how long the body is, /large with a large answer, anything else without looking at its body."""
    request = Request(scope, receive)
    try:
        answer = Answer(200, {"bytes": len(await request.body(BODY_LIMIT))} if scope["path"] == "/a" else {})
        if scope["path"] == "/large":
            answer = Answer(200, b"x" * 20_000_000)
    except Declined as declined:
        answer = declined.answer
    headers, body = render(answer)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Door:
    """A listener in this process, and its clock."""

    def __init__(self, **limits: Any) -> None:
        usual: dict[str, Any] = {"connections": 8, "header_bytes": 4096, "held_bytes": 2**25, "seconds": SECONDS}
        self.refused: list[str] = []
        self.service = Service(echo, Limits(**usual | limits), lambda answer: self.refused.append(answer.code))
        self.time = 0.0
        self.service.now = lambda: self.time
        self.port = 0
        self.tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        async with Listener(self.service, sock, self.tls).open(5):
            yield self

    async def dial(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        return reader, writer

    async def state(self, wanted: ConnectionState) -> None:
        await eventually(lambda: wanted in [each.state for each in self.service.connections])

    def later(self, seconds: float) -> None:
        self.time += seconds
        self.service.tick()


async def eventually(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


async def all_of(reader: asyncio.StreamReader) -> list[int]:
    """The statuses of all answers until the other side closes."""
    came = b""
    try:
        while piece := await reader.read(65536):
            came += piece
    except ConnectionError:
        pass
    return [int(each) for each in re.findall(rb"HTTP/1\.1 ([0-9]{3})", came)]


def at(door: Door, scenario: Callable[[Door], Awaitable[None]]) -> None:
    async def run() -> None:
        async with door.open():
            await scenario(door)

    asyncio.run(asyncio.wait_for(run(), 20))


STUCK: list[tuple[bytes, ConnectionState, list[int]]] = [
    (b"", ConnectionState.SILENT, []),
    (b"GET /una", ConnectionState.HEAD, [408]),
    (POST + b"Content-Length: 5\r\n\r\n12", ConnectionState.BODY, [408]),
    (CHUNKED + b"5\r\n12345\r\n0\r\nX: y", ConnectionState.BODY, [408]),
    (POST.replace(b"/a", b"/b") + b"Content-Length: 5\r\n\r\n12", ConnectionState.DRAINING, [200]),
    (POST + b"Content-Length: 3000000\r\n\r\n12", ConnectionState.DRAINING, [413]),
    (POST + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n", ConnectionState.LINGERING, [413]),
    (CHUNKED + b"zz\r\n", ConnectionState.LINGERING, [400]),
    (GET, ConnectionState.KEPT, [200]),
    (GET + b"GET /una", ConnectionState.HEAD, [200, 408]),
]


@pytest.mark.parametrize(("sent", "state", "statuses"), STUCK, ids=[f"{n} {s[1].name}" for n, s in enumerate(STUCK)])
def test_no_state_lasts_for_ever(sent: bytes, state: ConnectionState, statuses: list[int]) -> None:
    """Whoever stops in any state has been answered what there was to answer, and is gone when its time is over."""

    async def scenario(door: Door) -> None:
        reader, writer = await door.dial(sent)
        await door.state(state)
        door.later(1000)
        door.later(1000)
        assert await all_of(reader) == statuses
        door.later(1000)
        await eventually(lambda: not door.service.connections)
        assert door.service.held.bytes == 0
        writer.close()

    at(Door(), scenario)


@pytest.mark.parametrize("how", ["abort", "eof"])
@pytest.mark.parametrize(("sent", "state", "statuses"), STUCK, ids=[f"{n} {s[1].name}" for n, s in enumerate(STUCK)])
def test_a_client_that_leaves_in_any_state_leaves_nothing(
    sent: bytes, state: ConnectionState, statuses: list[int], how: str
) -> None:
    """Cut off or gone in good order: its place and its bytes are free, without any clock."""

    async def scenario(door: Door) -> None:
        _, writer = await door.dial(sent)
        await door.state(state)
        if how == "abort":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
        await eventually(lambda: not door.service.connections and not door.service.tasks)
        assert door.service.held.bytes == 0

    at(Door(), scenario)


CROWDED: list[tuple[bytes, list[int]]] = [
    (GET, [503]),
    (POST + b"Content-Length: 5\r\n\r\n12345", [503]),
    (POST + UPGRADE + b"Content-Length: 5\r\n\r\n12345", [503]),
    (CHUNKED + b"5\r\n12345\r\n0\r\n\r\n", [503]),
    (GET * 3, [503]),
]


@pytest.mark.parametrize(("sent", "statuses"), CROWDED)
def test_who_comes_when_the_memory_is_taken_is_told_so(sent: bytes, statuses: list[int]) -> None:
    """Whatever it asks for, and it costs nothing; when there is room again it is served."""

    async def scenario(door: Door) -> None:
        assert door.service.held.take(door.service.limits.held_bytes)
        reader, writer = await door.dial(sent)
        assert await all_of(reader) == statuses
        writer.close()
        await eventually(lambda: not door.service.connections)
        door.service.held.give(door.service.limits.held_bytes)
        assert door.service.held.bytes == 0
        reader, writer = await door.dial(LAST)
        assert await all_of(reader) == [200]
        writer.close()

    at(Door(), scenario)


REST = b"a" * 50_000
FILLED: list[tuple[bytes, ConnectionState, bytes, list[int]]] = [
    (b"", ConnectionState.SILENT, GET, [503]),
    (b"GET /una", ConnectionState.HEAD, b"sked HTTP/1.1\r\nHost: h\r\n\r\n", [503]),
    (POST + b"Content-Length: 50002\r\n\r\n12", ConnectionState.BODY, REST, [503]),
    (CHUNKED + b"5\r\n12345\r\n", ConnectionState.BODY, b"c350\r\n" + REST + b"\r\n0\r\n\r\n", [503]),
    (CHUNKED + b"5\r\n12345\r\n0\r\nX: y", ConnectionState.BODY, b"\r\n\r\n", [200]),
    (POST.replace(b"/a", b"/b") + b"Content-Length: 50002\r\n\r\n12", ConnectionState.DRAINING, REST, [200]),
    (POST + b"Content-Length: 3000000\r\n\r\n12", ConnectionState.DRAINING, b"a" * 2_999_998, [413]),
    (POST + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n", ConnectionState.LINGERING, REST, [413]),
    (CHUNKED + b"zz\r\n", ConnectionState.LINGERING, REST, [400]),
    (GET, ConnectionState.KEPT, GET, [200, 503]),
    (GET, ConnectionState.KEPT, POST + UPGRADE + b"Content-Length: 5\r\n\r\n12345", [200, 503]),
    (GET, ConnectionState.KEPT, GET * 3, [200, 503]),
]


@pytest.mark.parametrize(
    ("sent", "state", "rest", "statuses"), FILLED, ids=[f"{n} {s[1].name}" for n, s in enumerate(FILLED)]
)
def test_whoever_goes_on_when_the_memory_is_taken_is_told_so(
    sent: bytes, state: ConnectionState, rest: bytes, statuses: list[int]
) -> None:
    """In any state: what it sends costs nothing more, and it is answered once for each thing that it asked."""

    async def scenario(door: Door) -> None:
        reader, writer = await door.dial(sent)
        await door.state(state)
        free = door.service.limits.held_bytes - door.service.held.bytes
        assert door.service.held.take(free)
        writer.write(rest)
        reading = asyncio.create_task(all_of(reader))
        await eventually(lambda: state not in [each.state for each in door.service.connections] or reading.done())
        while not reading.done():
            assert door.service.held.bytes <= door.service.limits.held_bytes
            door.later(1000)
            await asyncio.sleep(0.005)
        assert await reading == statuses
        writer.close()
        await eventually(lambda: not door.service.connections)
        assert door.service.held.bytes == free

    at(Door(), scenario)


@pytest.mark.parametrize(("sent", "state", "statuses"), STUCK, ids=[f"{n} {s[1].name}" for n, s in enumerate(STUCK)])
def test_every_state_is_counted(sent: bytes, state: ConnectionState, statuses: list[int]) -> None:
    """A scrape tells how many connections wait for what, and the bytes that are held for them."""
    metrics = ShimMetrics("")

    def told(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"chef_ingest_{name}", labels)

    async def scenario(door: Door) -> None:
        metrics.watch_connections(door.service)
        reader, writer = await door.dial(sent)
        await door.state(state)
        assert {each: told("connections", state=each.name.lower()) for each in ConnectionState} == {
            each: None if each is ConnectionState.CLOSED else float(each is state) for each in ConnectionState
        }
        assert told("held_bytes") == door.service.held.bytes
        assert (told("held_bytes") or 0) > 0 or state not in (ConnectionState.BODY, ConnectionState.DRAINING)
        assert (told("connections_limit"), told("held_bytes_limit")) == (8, 2**25)
        door.later(1000)
        door.later(1000)
        await all_of(reader)
        writer.close()
        await eventually(lambda: not door.service.connections)
        assert told("held_bytes") == 0

    at(Door(), scenario)


def test_a_body_that_dribbles_on_after_its_answer_is_timed() -> None:
    """Bytes that keep coming give no more time, before the answer or after it."""

    async def scenario(door: Door) -> None:
        for sent, state in ((POST, ConnectionState.BODY), (POST.replace(b"/a", b"/b"), ConnectionState.DRAINING)):
            reader, writer = await door.dial(sent + b"Content-Length: 99\r\n\r\n")
            await door.state(state)
            for _ in range(7):
                writer.write(b"a")
                await writer.drain()
                door.later(SECONDS / 6)
            door.later(SECONDS)
            assert len(await all_of(reader)) == 1
            writer.close()

    at(Door(), scenario)


def test_readers_that_do_not_read_are_bounded_in_bytes_and_time() -> None:
    """Answers that nobody takes are held up to the bound, then others hear 503; in time their connections end."""

    async def scenario(door: Door) -> None:
        lazy = [await door.dial(GET.replace(b"unread", b"large")) for _ in range(3)]
        for reader, _ in lazy:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(
            lambda: len([1 for each in door.service.connections if each.state is ConnectionState.WRITING]) == 1
        )
        assert door.service.held.bytes <= door.service.limits.held_bytes
        await eventually(
            lambda: len([1 for each in door.service.connections if each.state is ConnectionState.KEPT]) == 2
        )
        door.later(SECONDS * 25)
        await eventually(lambda: not door.service.held.bytes)
        for _, writer in lazy:
            writer.transport.abort()

    at(Door(), scenario)


def test_memory_of_bodies_is_bounded() -> None:
    """Bodies being read are held up to the bound; who comes then is told to come again, and all is given back."""

    async def scenario(door: Door) -> None:
        held = [await door.dial(POST + b"Content-Length: 90000\r\n\r\n" + b"a" * 80_000) for _ in range(2)]
        await eventually(lambda: door.service.held.bytes > 160_000)
        late, writer = await door.dial(POST + b"Connection: close\r\nContent-Length: 80000\r\n\r\n" + b"a" * 80_000)
        assert await all_of(late) == [503]
        for reader, other in held:
            other.write(b"a" * 10_000)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        await eventually(lambda: not door.service.held.bytes)
        for each in (writer, *(other for _, other in held)):
            each.close()

    at(Door(held_bytes=200_000), scenario)


FRAMINGS: list[tuple[bytes, list[int]]] = [
    (POST + UPGRADE + b"Content-Length: 5\r\n\r\n12345" + LAST, [200, 200]),
    (POST + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(GET) + GET + LAST, [200, 200]),
    (POST + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n" + LAST, [200, 200]),
    (POST + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\nzz", [400]),
    (GET.replace(b"Host: h\r\n", UPGRADE) * 3 + LAST, [200] * 4),
    (CHUNKED + b"2\r\n12\r\n0\r\nContent-Encoding: br\r\nX: y\r\n\r\n" + LAST, [200, 200]),
    (CHUNKED + b"2\r\n12\r\n0\r\n" + b"a:b\r\n" * 5000, [431]),
    (CHUNKED + b"2\r\n12\r\n0\r\na: " + b"b" * 100_000, [431]),
    (CHUNKED + b"2;" + b"e" * 100_000, [431]),
    (CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n" + LAST, [200, 200]),
    (CHUNKED + b"3\r\n123456\r\n", [400]),
    (POST + b"Content-Length: 5, 5\r\n\r\n12345", [400]),
    (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
    (POST + b"Content-Length: 2\r\n\r\n12" + b"nonsense\r\n\r\n", [200, 400]),
    (POST + b"Content-Length: 3000000\r\n\r\n" + b"a" * 3_000_000 + LAST, [413, 200]),
    (CHUNKED + b"ffff\r\n" + b"a" * 65535 + b"\r\nffff\r\n" + b"a" * 65535 + b"\r\n0\r\n\r\n" + LAST, [413, 200]),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", [431]),
    (b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 700 + b"\r\n" + LAST, [200, 200]),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: h\r\n\r\n", [400]),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    (bytes(100), [400]),
    (b"GET /a\r\n\r\n", [400]),
    (b"GET /a HTTP/3.0\r\n\r\n", [400]),
    (GET * 300 + LAST, [200] * 301),
]


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("number", range(len(FRAMINGS)))
def test_framing(number: int, pieces: int) -> None:
    """What must be ignored is, what follows a body is the next request, what can't be read is 400."""
    sent, statuses = FRAMINGS[number]

    async def scenario(door: Door) -> None:
        reader, writer = await door.dial()
        size = len(sent) // pieces + 1
        try:
            for begin in range(0, len(sent), size):
                writer.write(sent[begin : begin + size])
                await writer.drain()
                await asyncio.sleep(0.005 if pieces > 1 else 0)
        except ConnectionError:
            pass
        assert await all_of(reader) == statuses
        writer.close()

    at(Door(), scenario)


@pytest.mark.parametrize("value", [b"100-continue", b"100-CONTINUE", b", 100-continue,", b"x, 100-continue"])
def test_who_expects_to_be_told_to_go_on_is(value: bytes) -> None:
    """Expect is a list, too: in whatever place of it, 100 comes before the body does."""

    async def scenario(door: Door) -> None:
        reader, writer = await door.dial(POST + b"Expect: " + value + b"\r\nContent-Length: 5\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"12345")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.close()

    at(Door(), scenario)


async def goes_on(writer: asyncio.StreamWriter, size: int) -> bool:
    """Whether so many bytes more can be sent."""
    try:
        for _ in range(64):
            writer.write(b"a" * (size // 64))
            await writer.drain()
    except ConnectionError:
        return False
    return True


LONG_AFTER = [
    (POST + b"Content-Length: 99999999999\r\n\r\n", b"413"),
    (POST + b"Connection: close\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    (CHUNKED + b"ffffffff\r\n" + b"a" * 2 * BODY_LIMIT, b"413"),
    (CHUNKED + b"zz\r\n", b"400"),
]


@pytest.mark.parametrize(("sent", "status"), LONG_AFTER)
def test_what_comes_after_the_answer_is_read_away_and_bounded(
    sent: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that sends a body to its end before it reads gets the answer; nobody may go on for ever."""
    most = 1 << 20
    monkeypatch.setattr("ingest.http.connection.AWAY_BYTES", most)

    async def scenario(door: Door) -> None:
        reader, writer = await door.dial(sent)
        writer.write(b"a" * (most // 2))
        await writer.drain()
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 " + status)
        assert await goes_on(writer, 64 * most) is False
        assert not door.service.connections

    at(Door(), scenario)


@pytest.mark.parametrize(
    ("sent", "statuses"), [(POST + b"Content-Length: 5\r\n\r\n12", [400]), (GET, [200]), (b"GE", [400])]
)
def test_who_has_said_all_still_hears(sent: bytes, statuses: list[int]) -> None:
    """A client that closes its own half is answered: what it asked, or that it did not ask it to the end."""

    async def scenario(door: Door) -> None:
        reader, writer = await door.dial(sent)
        writer.write_eof()
        assert await all_of(reader) == statuses
        writer.close()

    at(Door(), scenario)


def test_places() -> None:
    """Silent connections give their places to who comes; those that asked keep them, and who is too many hears 503."""

    async def scenario(door: Door) -> None:
        silent = [await door.dial() for _ in range(20)]
        kept = [await door.dial(GET) for _ in range(8)]
        for reader, _ in kept:
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
        late, writer = await door.dial(GET)
        assert await all_of(late) == [503]
        assert door.refused == ["connections"]
        for _, each in [*silent, *kept, (late, writer)]:
            each.close()

    at(Door(), scenario)


def test_who_never_begins_tls_has_a_place_and_a_time(tmp_path: Path) -> None:
    """Connections that say nothing before their handshake are counted: they give their places to who comes, and end."""
    ca = ThrowawayCA(tmp_path, "ca")
    pair = ca.issue("server", "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)

    async def crowd(door: Door) -> None:
        silent = [await door.dial() for _ in range(20)]
        trusting = ssl.create_default_context(cafile=str(ca.file))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", door.port, ssl=trusting, server_hostname="localhost"
        )
        writer.write(LAST)
        assert await all_of(reader) == [200]
        for gone, _ in silent[:13]:
            assert await all_of(gone) == []
        for each in (writer, *(other for _, other in silent)):
            each.close()

    async def alone(door: Door) -> None:
        reader, writer = await door.dial()
        assert await all_of(reader) == []
        writer.close()

    for door, scenario in ((Door(), crowd), (Door(seconds=0.1), alone)):
        door.tls = tls
        at(door, scenario)


def test_a_stop_answers_what_is_under_way() -> None:
    """A listener that closes takes nothing more, and answers to the end what was begun."""

    async def run() -> list[int]:
        door = Door()
        async with door.open():
            reader, writer = await door.dial(POST + b"Content-Length: 5\r\n\r\n12")
            await door.state(ConnectionState.BODY)
            loop = asyncio.get_running_loop()
            loop.call_later(0.05, writer.write, b"345")
        found = await all_of(reader)
        writer.close()
        return found

    coroutine: Coroutine[Any, Any, list[int]] = run()
    assert asyncio.run(asyncio.wait_for(coroutine, 20)) == [200]
