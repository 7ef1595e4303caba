"""An AMQP 0-9-1 publisher of the tests' own, down to the socket: it sends what no client library would encode.

Frames and methods by the specification (amqp0-9-1.pdf, 2.3.5 and 4.2); nothing of it is shared with what is tested.
"""

from __future__ import annotations

import socket
import struct
from urllib.parse import unquote, urlsplit

from tests.patience import LONG

METHOD, HEADER, BODY = 1, 2, 3
FRAME_MAX = 131072


class Refused(Exception):
    """The broker has ended the connection or the channel."""


def short(value: bytes) -> bytes:
    """A short string of any bytes, 255 at most."""
    return bytes([len(value)]) + value


def long(value: bytes) -> bytes:
    """A long string, and what is encoded alike: tables, arrays, byte arrays."""
    return struct.pack(">I", len(value)) + value


def table(fields: list[tuple[bytes, bytes]]) -> bytes:
    """A field table of names and already encoded fields."""
    return long(b"".join(short(name) + field for name, field in fields))


class RawPublisher:
    """One connection and one confirming channel. Raises Refused, and is of no more use then."""

    def __init__(self, amqp_url: str) -> None:
        url = urlsplit(amqp_url)
        self._socket = socket.create_connection((url.hostname or "localhost", url.port or 5672), timeout=LONG)
        self._held = b""
        self._tag = 0
        self._unconfirmed: dict[int, bytes] = {}
        self.taken: list[bytes] = []
        """Bodies that the broker has confirmed."""
        login = b"\0" + unquote(url.username or "guest").encode() + b"\0" + unquote(url.password or "guest").encode()
        self._socket.sendall(b"AMQP\0\0\x09\x01")
        self._expect(10, 10)
        self._method(0, 10, 11, table([]) + short(b"PLAIN") + long(login) + short(b"en_US"))
        self._expect(10, 30)
        self._method(0, 10, 31, struct.pack(">HIH", 2047, FRAME_MAX, 0))
        self._method(0, 10, 40, short(unquote(url.path[1:]).encode() or b"/") + b"\0\0")
        self._expect(10, 41)
        self._method(1, 20, 10, b"\0")
        self._expect(20, 11)
        self._method(1, 85, 10, b"\0")
        self._expect(85, 11)

    def send(self, exchange: bytes, key: bytes, body: bytes, flags: int = 0, properties: bytes = b"") -> None:
        """One message with a property block as it is given; it is not waited for."""
        self._tag += 1
        self._unconfirmed[self._tag] = body
        self._method(1, 60, 40, b"\0\0" + short(exchange) + short(key) + b"\0")
        self._frame(HEADER, 1, struct.pack(">HHQH", 60, 0, len(body), flags) + properties)
        for at in range(0, len(body), FRAME_MAX - 8):
            self._frame(BODY, 1, body[at : at + FRAME_MAX - 8])

    def confirmed(self) -> None:
        """Wait until the broker has confirmed all that was sent."""
        while self._unconfirmed:
            tag, multiple = struct.unpack_from(">QB", self._expect(60, 80), 4)
            for done in [each for each in self._unconfirmed if each == tag or (multiple and each < tag)]:
                self.taken.append(self._unconfirmed.pop(done))

    def close(self) -> None:
        self._socket.close()

    def _method(self, channel: int, class_id: int, method_id: int, arguments: bytes) -> None:
        self._frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + arguments)

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        try:
            self._socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")
        except OSError as error:
            raise Refused(repr(error)) from error

    def _expect(self, class_id: int, method_id: int) -> bytes:
        while True:
            kind, payload = self._received()
            if kind != METHOD:
                continue
            found = struct.unpack_from(">HH", payload)
            if found == (class_id, method_id):
                return payload
            if found in ((10, 50), (20, 40)):
                raise Refused(payload[6:].decode("utf-8", "replace"))

    def _received(self) -> tuple[int, bytes]:
        kind, _, size = struct.unpack(">BHI", self._bytes(7))
        return kind, self._bytes(size + 1)[:-1]

    def _bytes(self, count: int) -> bytes:
        while len(self._held) < count:
            try:
                more = self._socket.recv(1 << 16)
            except OSError as error:
                raise Refused(repr(error)) from error
            if not more:
                raise Refused("the connection is closed")
            self._held += more
        data, self._held = self._held[:count], self._held[count:]
        return data
