"""All that leans on pika's inside: connections that read deliveries and confirms straight from the broker's bytes, and
that send a message in one piece; the rest is pika's."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import BodyTooLongError
from pika.frame import decode_frame
from pika.spec import (
    FRAME_BODY,
    FRAME_END,
    FRAME_END_SIZE,
    FRAME_HEADER,
    FRAME_HEADER_SIZE,
    FRAME_MAX_SIZE,
    FRAME_METHOD,
    Basic,
    BasicProperties,
)

from consumers.broker.properties import read, text

RECEIVE_BYTES: Final = 128 * 1024
"""Asked of the socket at a time; pika asks for 4 KiB, which is many system calls for a large message."""

_HEAD: Final = struct.Struct(">BHL").unpack_from
_TAG: Final = struct.Struct(">Q").unpack_from
_AROUND: Final = FRAME_HEADER_SIZE + FRAME_END_SIZE
_DELIVER: Final = struct.pack(">I", Basic.Deliver.INDEX)
_ACK: Final = struct.pack(">I", Basic.Ack.INDEX)
_PROTOCOL: Final = b"AMQP"
_KNOWN: Final = 256
"""Different addresses and properties that are remembered. Chef servers send all their messages with the same."""
_SHORT: Final = 512
"""Bytes of properties that are worth remembering."""
_GATHERED_BYTES: Final = 64 * 1024
_MESSAGE_FRAMES: Final = 2
"""A message is a method frame, a header frame and body frames; anything else is one frame."""


class Arrival(NamedTuple):
    """Where a delivery came from: what is the same for thousands of them.

    `redelivered`: the broker has had it back at least once. Names that are no UTF-8 are `properties.text`.
    """

    consumer_tag: str
    exchange: str
    routing_key: str
    redelivered: bool = False

    @classmethod
    def of(cls, method: Basic.Deliver) -> Arrival:
        """The address in a `basic.deliver`."""
        return cls(text(method.consumer_tag), text(method.exchange), text(method.routing_key), bool(method.redelivered))


OnDelivery = Callable[[Arrival, int, BasicProperties, bytes], None]
"""Told of a delivery: address, delivery tag, properties (shared between deliveries: not to be changed), body."""

OnConfirm = Callable[[int, bool], None]
"""Told that the broker confirmed a delivery tag; with True, all up to it as well."""


class Frames:
    """Put before a connection class of pika's: what `hear` names is told straight, everything else goes pika's way.

    By pika alone a delivery costs three objects, a dozen callback look-ups and three copies of what has been
    received but not read yet: most of what a worker would do. Should pika rename what is overridden here, all
    comes through pika, to the callbacks that its own methods were given: slower, and the same.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._on_delivery: OnDelivery | None = None
        self._on_confirm: OnConfirm | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._wanted = 0
        # The delivery whose frames are coming in, if any.
        self._channel_number = 0
        self._address: Arrival | None = None
        self._delivery_tag = 0
        self._properties: BasicProperties | None = None
        self._size = 0
        self._pieces: list[bytes] = []
        self._addresses: dict[bytes, Arrival] = {}
        self._known: dict[bytes, BasicProperties] = {}
        super().__init__(*args, **kwargs)

    def hear(self, on_delivery: OnDelivery, on_confirm: OnConfirm | None = None) -> None:
        """Tell of every consumer's deliveries, and of confirms (not of nacks): once the connection is open, before
        anything is consumed or published, and on one channel only."""
        self._on_delivery, self._on_confirm = on_delivery, on_confirm
        transport = getattr(self, "_transport", None)
        if transport is not None:
            transport._MAX_RECV_BYTES = RECEIVE_BYTES

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)  # type: ignore[attr-defined]
        self._chunks.append(data_in)
        self._held += len(data_in)
        if self._held < self._wanted:
            return  # A large frame is looked at once, when all of it is here.
        data = data_in if len(self._chunks) == 1 else b"".join(self._chunks)
        at = self._read_frames(data)
        rest = data[at:]
        self._chunks = [rest] if rest else []
        self._held = len(rest)

    def _read_frames(self, data: bytes) -> int:
        """How many bytes of whole frames there were; `_wanted` says how many the next one needs."""
        at, end = 0, len(data)
        while end - at >= FRAME_HEADER_SIZE:
            frame_type, number, size = _HEAD(data, at)
            stop = at + size + _AROUND
            if data.startswith(_PROTOCOL, at):
                stop = at + 8  # Not a frame: the broker speaks another version.
            if stop > end:
                self._wanted = stop - at
                return at
            if self._on_delivery is None or not self._told(data, at, stop, frame_type, number):
                _, frame = decode_frame(data[at:stop])
                self._process_frame(frame)  # type: ignore[attr-defined]
            at = stop
        self._wanted = 0
        return at

    def _told(self, data: bytes, at: int, stop: int, frame_type: int, number: int) -> bool:
        """Take in a confirm or part of a delivery. Raises as pika does for what breaks the protocol."""
        start, last = at + FRAME_HEADER_SIZE, stop - FRAME_END_SIZE
        if frame_type == FRAME_METHOD:
            if data[last] != FRAME_END:
                return False
            if data.startswith(_DELIVER, start):
                self._begin(data, start + 4, last)
                self._channel_number = number
            elif self._on_confirm is not None and data.startswith(_ACK, start):
                # Delivery tag (8 bytes), multiple (1).
                self._on_confirm(_TAG(data, start + 4)[0], bool(data[start + 12] & 1))
            else:
                return False
        elif self._address is None or number != self._channel_number or data[last] != FRAME_END:
            return False
        elif frame_type == FRAME_HEADER:
            # Class (2 bytes), weight (2), body size (8), properties.
            (self._size,) = _TAG(data, start + 4)
            self._properties = self._decoded(data[start + 12 : last])
            if not self._size:
                self._deliver(b"")
        elif frame_type == FRAME_BODY and self._properties is not None:
            self._gather(data[start:last])
        else:
            return False
        self.frames_received += 1  # type: ignore[attr-defined]
        return True

    def _begin(self, data: bytes, at: int, last: int) -> None:
        # Consumer tag (short string), delivery tag (8 bytes), redelivered (1), exchange, routing key.
        tag_at = at + 1 + data[at]
        (self._delivery_tag,) = _TAG(data, tag_at)
        key = data[at:tag_at] + data[tag_at + 8 : last]
        address = self._addresses.get(key)
        if address is None:
            address = Arrival.of(Basic.Deliver().decode(data[at:last]))
            _remember(self._addresses, key, address)
        self._address, self._properties, self._pieces = address, None, []

    def _decoded(self, encoded: bytes) -> BasicProperties:
        properties = self._known.get(encoded)
        if properties is None:
            properties = read(encoded)
            if len(encoded) <= _SHORT and properties.correlation_id is None and properties.message_id is None:
                # Those two ids make every message another one.
                _remember(self._known, encoded, properties)
        return properties

    def _gather(self, piece: bytes) -> None:
        if len(piece) == self._size and not self._pieces:
            self._deliver(piece)
            return
        self._pieces.append(piece)
        have = sum(map(len, self._pieces))
        if have > self._size:
            raise BodyTooLongError(have, self._size)
        if have == self._size:
            self._deliver(b"".join(self._pieces))

    def _deliver(self, body: bytes) -> None:
        address, properties = self._address, self._properties
        assert address is not None
        assert properties is not None
        assert self._on_delivery is not None
        self._address, self._properties, self._pieces = None, None, []
        self._on_delivery(address, self._delivery_tag, properties, body)


class DeliveringConnection(Frames, pika.SelectConnection):  # type: ignore[misc]
    """A SelectConnection that can be heard."""


class PromptConnection(pika.SelectConnection):  # type: ignore[misc]
    """Sends a message in one piece, and at once.

    By pika alone it is three system calls, in as many segments for the broker, and a turn of the loop before them:
    half a millisecond that a client waits for its answer.
    """

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames([b"".join(marshaled_frames)])
        if self._transport is not None:
            self._transport._on_socket_writable()


class GatheringConnection(Frames, AsyncioConnection):  # type: ignore[misc]
    """Sends what is published in one turn of the loop together, and can be heard.

    By pika alone each message is three segments and three system calls, here and in the broker.
    Should pika rename what is overridden here, it is slow again but right.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        super().__init__(*args, **kwargs)

    def _output_marshaled_frames(self, marshaled_frames: list[bytes]) -> None:
        size = sum(map(len, marshaled_frames))
        if len(marshaled_frames) < _MESSAGE_FRAMES or size > _GATHERED_BYTES:
            self._send_gathered()
            super()._output_marshaled_frames(marshaled_frames)
            return
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send_gathered)
        self._gathered += marshaled_frames
        self._gathered_bytes += size
        if self._gathered_bytes > _GATHERED_BYTES:
            self._send_gathered()

    def _send_gathered(self) -> None:
        # After a loss there is nothing to send with, and the owner has been told.
        if self._gathered and getattr(self, "_transport", None) is not None:
            frames, self._gathered, self._gathered_bytes = self._gathered, [], 0
            super()._output_marshaled_frames([b"".join(frames)])


class Unsendable(Exception):
    """Properties that no frame of this connection holds, or that can't be encoded: trying again won't help."""


def require_fits(connection: BlockingConnection, properties: BasicProperties) -> None:
    """Raises Unsendable where the header frame would be too large: the broker ends the connection then.

    A content header can't be split over frames [AMQP 0-9-1, 4.2.6].
    """
    try:
        size = sum(map(len, properties.encode()))
    except Exception as error:
        raise Unsendable(f"its properties can't be encoded: {error!r}") from error
    params = getattr(connection._impl, "params", None)
    frame_max = getattr(params, "frame_max", None) or FRAME_MAX_SIZE
    # Class, weight and body size go before the properties, a frame's head and end around them.
    if size + 12 + _AROUND > frame_max:
        raise Unsendable(f"its properties are {size} bytes, more than a frame of {frame_max} holds")


def beneath(connection: BlockingConnection) -> pika.SelectConnection:
    """What a BlockingConnection drives: it publishes without waiting, and its loop can be turned by hand."""
    return connection._impl


def drop(connection: BlockingConnection) -> None:
    """Let go of the socket at once: a broker that reads nothing answers no goodbye."""
    transport = getattr(connection._impl, "_transport", None)
    if transport is not None:
        transport.abort()


def server_properties(connection: BlockingConnection) -> dict[str, Any]:
    """What the broker said of itself (product, version, capabilities); empty where it can't be had."""
    return getattr(connection._impl, "server_properties", None) or {}


def _remember(known: dict[bytes, Any], key: bytes, value: Any) -> None:
    if len(known) >= _KNOWN:
        known.clear()
    known[key] = value
