"""Limit: the least that a shim in Python can do with our workers: httptools, frames by hand, confirm, reply, 201.

It looks at nothing, bounds nothing and survives nothing: what a shim costs beyond this is what it does for its users.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import httptools
import uvloop
from pika import URLParameters, frame, spec

REPLY_TO = "amq.rabbitmq.reply-to"
FRAME_BYTES = 131_072
DIGITS = 12
"""A correlation id is a number of so many digits: its place in a header is always the same."""


class Broker(asyncio.Protocol):
    """A connection with one channel; tells of each message that is confirmed and answered."""

    def __init__(self, parameters: URLParameters) -> None:
        self._parameters = parameters
        self._buffer = bytearray()
        self._body = b""
        self._left = 0
        self._tag = 0
        self._confirmed = 0
        self._acked: set[int] = set()
        self._waiting: dict[str, tuple[int, Any]] = {}
        self._verdicts: dict[str, dict[str, Any]] = {}
        self.ready = asyncio.get_running_loop().create_future()
        publish = spec.Basic.Publish(exchange="ingest", routing_key="action", mandatory=True)
        self._publish = frame.Method(1, publish).marshal()
        properties = spec.BasicProperties(
            type="action", delivery_mode=2, reply_to=REPLY_TO, correlation_id="0" * DIGITS
        )
        self._properties = b"".join(properties.encode())

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(b"AMQP\x00\x00\x09\x01")

    def publish(self, body: bytes, client: Client) -> None:
        """The client is answered once the broker has confirmed the message and a worker has said what became of it."""
        self._tag += 1
        identity = f"{self._tag:0{DIGITS}}"
        self._waiting[identity] = self._tag, client
        properties = self._properties.replace(b"0" * DIGITS, identity.encode(), 1)
        header = b"\x00\x3c\x00\x00" + len(body).to_bytes(8) + properties
        pieces = [self._publish, b"\x02\x00\x01", len(header).to_bytes(4), header, b"\xce"]
        for start in range(0, len(body), FRAME_BYTES - 8):
            piece = body[start : start + FRAME_BYTES - 8]
            pieces += b"\x03\x00\x01", len(piece).to_bytes(4), piece, b"\xce"
        self._transport.write(b"".join(pieces))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= 8:
            end = at + 7 + int.from_bytes(self._buffer[at + 3 : at + 7])
            if len(self._buffer) <= end:
                break
            self._take(self._buffer[at], bytes(self._buffer[at + 7 : end]))
            at = end + 1
        del self._buffer[:at]

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == 1:
            self._method(int.from_bytes(payload[:2]), int.from_bytes(payload[2:4]), payload[4:])
        elif kind == 2:
            self._left, self._body = int.from_bytes(payload[4:12]), b""
        elif kind == 3:
            self._body += payload
            self._left -= len(payload)
            if not self._left:
                # Our workers send the verdicts of a batch together: [[correlation id, verdict], ...].
                for identity, verdict in json.loads(self._body):
                    self._verdicts[identity] = verdict
                    self._settle(identity)

    def _method(self, family: int, method: int, rest: bytes) -> None:
        if (family, method) == (60, 80):
            self._ack(int.from_bytes(rest[:8]), multiple=bool(rest[8]))
        elif (family, method) in _HANDSHAKE:
            self._transport.write(b"".join(each.marshal() for each in _HANDSHAKE[family, method](self._parameters)))
        elif (family, method) == (85, 11):
            self.ready.set_result(None)
        elif (family, method) in ((60, 50), (60, 120), (10, 50), (20, 40)):
            sys.exit(f"the broker said {family}.{method}: {rest!r}")

    def _ack(self, tag: int, *, multiple: bool) -> None:
        tags = range(self._confirmed + 1, tag + 1) if multiple else (tag,)
        self._acked.update(tags)
        while self._confirmed + 1 in self._acked:
            self._confirmed += 1
            self._acked.remove(self._confirmed)
        for each in tags:
            self._settle(f"{each:0{DIGITS}}")

    def _settle(self, identity: str) -> None:
        tag, client = self._waiting.get(identity, (0, None))
        if client and identity in self._verdicts and (tag <= self._confirmed or tag in self._acked):
            del self._waiting[identity]
            client.answer(self._verdicts.pop(identity))


def _tune(parameters: URLParameters) -> list[frame.Method]:
    tune = spec.Connection.TuneOk(channel_max=1, frame_max=FRAME_BYTES, heartbeat=0)
    return [frame.Method(0, tune), frame.Method(0, spec.Connection.Open(virtual_host=parameters.virtual_host))]


def _log_in(parameters: URLParameters) -> list[frame.Method]:
    said = f"\0{parameters.credentials.username}\0{parameters.credentials.password}"
    return [frame.Method(0, spec.Connection.StartOk({}, "PLAIN", said, "en_US"))]


_HANDSHAKE = {
    (10, 10): _log_in,
    (10, 30): _tune,
    (10, 41): lambda _: [frame.Method(1, spec.Channel.Open())],
    (20, 11): lambda _: [frame.Method(1, spec.Basic.Consume(queue=REPLY_TO, no_ack=True))],
    (60, 21): lambda _: [frame.Method(1, spec.Confirm.Select())],
}
"""What the broker says -> what is said to it then [AMQP 0-9-1]."""


class Client(asyncio.Protocol):
    """An HTTP connection: a request, its answer, the next request."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._body = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        self._broker.publish(body, self)

    def answer(self, verdict: dict[str, Any]) -> None:
        uri = f"http://127.0.0.1{verdict.get('path')}".encode()
        said = b'{"uri": "%s"}' % uri if verdict["code"] == "created" else json.dumps(verdict).encode()
        status = b"201 Created" if verdict["code"] == "created" else b"400 Bad Request"
        self._transport.write(
            b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nLocation: %s\r\n\r\n%s"
            % (status, len(said), uri, said)
        )


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    parameters = URLParameters(os.environ["AMQP_URL"])
    _, broker = await loop.create_connection(lambda: Broker(parameters), parameters.host, parameters.port)
    await broker.ready
    server = await loop.create_server(lambda: Client(broker), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
