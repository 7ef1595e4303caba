"""What PgBouncer does in transaction mode, and worse: each transaction gets another session than the one before."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

IDLE = b"I"
ANSWERED = (b"Q", b"S", b"F")
"""Query, Sync and FunctionCall: after these the server says ReadyForQuery."""


@dataclass
class Pooler:
    """Gives its clients' transactions to sessions of `target`, the longest idle one first."""

    target: tuple[str, int]
    _idle: deque[socket.socket] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._client, args=(client,), daemon=True).start()

    def _client(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client:
            startup = _startup(client)
            session = socket.create_connection(self.target)
            session.sendall(startup)
            self._authenticate(client, session)
            self._give(session)
            while True:
                self._transaction(client)

    def _authenticate(self, client: socket.socket, session: socket.socket) -> None:
        while True:
            kind, body = _message(session)
            if kind == b"K":
                body = struct.pack(">II", 4242, 4242)  # A pooler's own key: it can cancel for its clients.
            client.sendall(_framed(kind, body))
            if kind == b"Z":
                return
            if kind == b"E":
                raise EOFError
            if kind == b"R" and struct.unpack_from(">I", body)[0] in (3, 5, 10, 11):
                session.sendall(_framed(*_message(client)))

    def _transaction(self, client: socket.socket) -> None:
        """From the client's next message until the server is idle again."""
        first = _message(client)
        if first[0] == b"X":
            raise EOFError
        with self._lock:
            session = self._idle.popleft()
        try:
            while True:
                session.sendall(_framed(*first))
                if first[0] in ANSWERED and self._answered(client, session, first[0]) == IDLE:
                    return
                first = _message(client)
        finally:
            self._give(session)

    def _answered(self, client: socket.socket, session: socket.socket, asked: bytes) -> bytes:
        while True:
            kind, body = _message(session)
            client.sendall(_framed(kind, body))
            if kind == b"Z":
                return body
            if kind == b"G":  # COPY: the client's data, to its end.
                while (sent := _message(client))[0] not in (b"c", b"f"):
                    session.sendall(_framed(*sent))
                session.sendall(_framed(*sent))
                if asked == b"S":  # The extended protocol's Sync before the data went for nothing.
                    session.sendall(_framed(*_message(client)))

    def _give(self, session: socket.socket) -> None:
        with self._lock:
            self._idle.append(session)


@contextlib.contextmanager
def pooled(database_url: str) -> Iterator[str]:
    """The URL by way of a pooler, which has a session for each client that has ever connected."""
    parts = urlsplit(database_url)
    pooler = Pooler((parts.hostname or "", parts.port or 0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=pooler.serve, args=(listener,), daemon=True).start()
        user = parts.netloc.rpartition("@")[0]
        yield parts._replace(netloc=f"{user}@127.0.0.1:{listener.getsockname()[1]}").geturl()
        listener.shutdown(socket.SHUT_RDWR)


def _startup(client: socket.socket) -> bytes:
    while True:
        (size,) = struct.unpack(">I", _exactly(client, 4))
        body = _exactly(client, size - 4)
        if struct.unpack_from(">I", body)[0] >> 16 == 3:
            return struct.pack(">I", size) + body
        client.sendall(b"N")  # No TLS, no GSS.


def _message(peer: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(peer, 5)
    return head[:1], _exactly(peer, struct.unpack(">I", head[1:])[0] - 4)


def _framed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def _exactly(peer: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = peer.recv(count - len(received))
        if not piece:
            raise EOFError
        received += piece
    return received
