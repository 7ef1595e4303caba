"""Limits of the shim: how large, how many, how slow; each over a raw connection to a real process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from http_support import CREATED, Shim, answering, declare_topology, serving

from ingest.soak.system import until
from tests.patience import LONG

LIMITS = {"max_connections": 8, "max_header_bytes": 4096, "slow_client_seconds": 1, "max_body_bytes": 2048}


@pytest.fixture(scope="module")
def shim(vhost_pool: Any) -> Iterator[Shim]:
    amqp_url = vhost_pool.take()
    declare_topology(amqp_url)
    with serving(amqp_url, wait_seconds=10, **LIMITS) as shim, answering(amqp_url, CREATED):
        yield shim
    vhost_pool.give_back(amqp_url)


def dial(shim: Shim) -> socket.socket:
    parts = urlsplit(shim.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=LONG)


def status_of(connection: socket.socket) -> int | None:
    """The status of the first answer once the other side has closed; None for a close without one."""
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    return int(answer.split()[1]) if answer else None


def status_now(connection: socket.socket) -> int:
    """The status of a whole answer on a connection that stays."""
    answer = b""
    while not answer.endswith(b"}\n"):
        piece = connection.recv(65536)
        assert piece, answer
        answer += piece
    return int(answer.split()[1])


def request(size: int = 0, *, pieces: int = 1) -> bytes:
    fields = b"".join(b"X-Filler-%d: %s\r\n" % (number, b"a" * (size // pieces)) for number in range(pieces))
    return b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n"


def test_limits(shim: Shim) -> None:
    """Beyond each limit there is an answer of its own and the connection ends; below it all is well."""
    for sent, status in (
        (request(), 200),
        (request(3900), 200),
        (request(4200), 431),
        (request(4200, pieces=50), 431),
        (request(500_000), 431),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 1_000_000, 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HT", 408),
        (b"POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{", 408),
        (b"POST /messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n{", 413),
        (b"", None),
    ):
        with dial(shim) as connection:
            try:
                connection.sendall(sent)
            except (ConnectionResetError, BrokenPipeError):
                assert status == 431
                continue
            assert status_of(connection) == status, sent[:60]


def test_what_strangers_hold_is_scraped(shim: Shim) -> None:
    """A scrape tells of connections and bytes beside their limits; its own connection is at work."""
    lines = shim.http.get("/metrics").text.splitlines()
    told = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}
    assert told['chef_ingest_connections{state="working"}'] == 1
    assert told["chef_ingest_connections_limit"] == LIMITS["max_connections"]
    assert 0 < told["chef_ingest_held_bytes"] < told["chef_ingest_held_bytes_limit"] == 256 * 1024 * 1024


def test_a_slow_header_on_a_kept_connection_is_slow_too(shim: Shim) -> None:
    """The clock runs for every request, while an idle connection between two of them may stay."""
    with dial(shim) as connection:
        connection.sendall(request().replace(b"close", b"keep-alive"))
        assert status_now(connection) == 200
        connection.settimeout(LIMITS["slow_client_seconds"] * 1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(LONG)
        connection.sendall(request()[:-3])
        assert status_of(connection) == 408


def test_too_many_connections(shim: Shim) -> None:
    """Who comes when all places are taken is told to come again, and the places serve on."""
    shim.http.close()
    held = [dial(shim) for _ in range(8)]
    for connection in held:
        connection.sendall(request().replace(b"close", b"keep-alive"))
        assert status_now(connection) == 200
    with dial(shim) as late:
        assert status_of(late) == 503
    held[0].sendall(request())
    assert status_of(held.pop(0)) == 200

    def served() -> bool:
        with dial(shim) as connection:
            connection.sendall(request())
            return status_of(connection) == 200

    until(served, "a place that was given back is taken")
    for connection in held:
        connection.close()
