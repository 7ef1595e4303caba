"""Deliveries and confirms are read from any pieces as pika would, and every other frame is left to pika."""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from typing import Any

import pika
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.channel import ContentFrameAssembler
from pika.exceptions import BodyTooLongError, InvalidFrameError
from pika.spec import Basic, BasicProperties

from consumers.broker.frames import Arrival, DeliveringConnection
from consumers.broker.properties import Undecodable, carried, envelope, read


class Heard(DeliveringConnection):
    """Connected to nothing: remembers what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        super().__init__(pika.ConnectionParameters(), internal_connection_workflow=False)
        self.hear(self._delivered, lambda tag, multiple: self.told.append((tag, multiple)))

    def _delivered(self, address: Arrival, tag: int, properties: BasicProperties, body: bytes) -> None:
        self.told.append((*address, tag, properties, body))

    def _process_frame(self, frame_value: Any) -> None:
        self.told.append(frame_value.marshal())

    def receive(self, data: bytes, cuts: list[int]) -> None:
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for start, end in pairwise(places):
            self._on_data_available(data[start:end])


def as_pika(data: bytes) -> list[Any]:
    """What pika's decoder and assembler make of it."""
    told: list[Any] = []
    assembler = ContentFrameAssembler()
    while data:
        length, frame = pika.frame.decode_frame(data)
        data = data[length:]
        content = isinstance(frame, pika.frame.Header | pika.frame.Body)
        if content or (isinstance(frame, pika.frame.Method) and isinstance(frame.method, Basic.Deliver)):
            done = assembler.process(frame)
            if done:
                method, header, body = done[0].method, done[1], done[2]
                address = (method.consumer_tag, method.exchange, method.routing_key, method.redelivered)
                told.append((*address, method.delivery_tag, header.properties, body))
        elif isinstance(frame, pika.frame.Method) and isinstance(frame.method, Basic.Ack):
            told.append((frame.method.delivery_tag, frame.method.multiple))
        else:
            told.append(frame.marshal())
    return told


def delivery(tag: int, body: bytes, properties: BasicProperties, exchange: str, largest: int) -> bytes:
    method = Basic.Deliver("consumer", tag, tag % 2 == 0, exchange, f"key.{tag % 3}")
    frames = [pika.frame.Method(1, method), pika.frame.Header(1, len(body), properties)]
    frames += [pika.frame.Body(1, body[at : at + largest]) for at in range(0, len(body), largest)]
    return b"".join(frame.marshal() for frame in frames)


words = st.text(max_size=5).filter(lambda text: len(text.encode()) < 200)
properties = st.builds(
    BasicProperties,
    type=st.none() | words,
    correlation_id=st.none() | words,
    headers=st.none() | st.dictionaries(words, words | st.integers(0, 9), max_size=2),
    delivery_mode=st.sampled_from([1, 2]),
)
deliveries = st.builds(delivery, st.integers(1, 2**63), st.binary(max_size=30), properties, words, st.integers(1, 16))
others = st.sampled_from(
    [
        pika.frame.Heartbeat().marshal(),
        pika.frame.Method(1, Basic.ConsumeOk("consumer")).marshal(),
        pika.frame.Method(0, pika.spec.Connection.Blocked("low on memory")).marshal(),
        pika.frame.Method(1, Basic.Cancel("consumer")).marshal(),
        pika.frame.Method(1, Basic.Ack(2**40, True)).marshal(),
        pika.frame.Method(1, Basic.Ack(7, False)).marshal(),
        pika.frame.Method(1, Basic.Nack(7, True)).marshal(),
    ]
)


@given(st.lists(deliveries | others, max_size=8), st.lists(st.integers(0, 2**16), max_size=12))
def test_any_stream_cut_anywhere_is_read_as_pika_reads_it(stream: list[bytes], cuts: list[int]) -> None:
    """The same deliveries, properties and bodies, and the same other frames, in the same order."""
    data = b"".join(stream)
    heard = Heard()
    heard.receive(data, cuts)
    assert heard.told == as_pika(data)
    assert heard.bytes_received == len(data)


def test_a_heartbeat_in_the_middle_of_a_delivery_disturbs_nothing() -> None:
    """Frames of another channel may come between those of a delivery."""
    whole = delivery(1, b"x" * 40, BasicProperties(), "e", 16)
    beat = pika.frame.Heartbeat().marshal()
    lengths = [pika.frame.decode_frame(whole)[0]]
    at = lengths[0]
    heard = Heard()
    heard.receive(whole[:at] + beat + whole[at:], [])
    assert [each if isinstance(each, bytes) else each[-1] for each in heard.told] == [beat, b"x" * 40]


def test_a_large_body_in_many_pieces_arrives_whole() -> None:
    """As many chunks as a socket gives."""
    body = bytes(range(256)) * 4096
    data = delivery(7, body, BasicProperties(), "e", 131_064)
    heard = Heard()
    heard.receive(data, list(range(0, len(data), 4096)))
    assert [each[-1] for each in heard.told] == [body]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data: data[:-1] + b"\x00", InvalidFrameError),
        (lambda data: data[:-12] + pika.frame.Body(1, b"123456").marshal(), BodyTooLongError),
    ],
)
def test_what_breaks_the_protocol_raises_as_pika_does(damage: Any, error: type[Exception]) -> None:
    """A frame without its end, a body longer than was said."""
    data = delivery(1, b"1234", BasicProperties(), "e", 16)
    with pytest.raises(error):
        Heard().receive(damage(data), [])


def test_properties_of_one_message_are_not_those_of_another() -> None:
    """What is remembered is found by all of its bytes."""
    sent = [BasicProperties(type=kind, app_id=app) for kind in ("a", "b") for app in ("c", None)] * 2
    heard = Heard()
    heard.receive(b"".join(delivery(1, b"x", each, "e", 16) for each in sent), [])
    assert [each[5] for each in heard.told] == sent


LONG = struct.Struct(">I").pack


def table(*fields: bytes) -> bytes:
    inner = b"".join(fields)
    return LONG(len(inner)) + inner


def headers(field: bytes) -> bytes:
    """A property block that has headers and nothing else [AMQP 0-9-1, 4.2.6.1]."""
    return struct.pack(">H", 1 << 13) + table(b"\x01h" + field)


def nested(levels: int) -> bytes:
    field = b"V"
    for _ in range(levels):
        field = b"A" + table(field)
    return field


UNDECODABLE = {
    "a time after the year 9999": headers(b"T" + struct.pack(">Q", 2**64 - 1)),
    "a number that is none": headers(b"d" + struct.pack(">d", float("nan"))),
    "a type that nobody knows": headers(b"?"),
    "deeper than we look": headers(nested(40)),
    "deeper than the stack": headers(nested(3000)),
    "cut short": headers(b"l\0\0"),
    "no flags": b"",
}


@pytest.mark.parametrize("block", UNDECODABLE.values(), ids=UNDECODABLE)
def test_a_property_block_that_cannot_be_read_is_a_delivery_all_the_same(block: bytes) -> None:
    """It comes with its raw bytes, and its neighbours as if nothing had been."""
    good = BasicProperties(type="action")
    method = pika.frame.Method(1, Basic.Deliver("consumer", 5, False, "e", "key")).marshal()
    header = struct.pack(">HHQ", 60, 0, 3) + block
    odd = method + struct.pack(">BHL", 2, 1, len(header)) + header + b"\xce" + pika.frame.Body(1, b"odd").marshal()
    heard = Heard()
    heard.receive(delivery(4, b"x", good, "e", 16) + odd + delivery(6, b"y", good, "e", 16), [])
    assert [each[-1] for each in heard.told] == [b"x", b"odd", b"y"]
    properties = heard.told[1][5]
    assert isinstance(properties, Undecodable)
    assert properties.raw == block


@given(st.binary(max_size=40))
def test_any_bytes_are_a_property_block(block: bytes) -> None:
    """Reading never raises, and what was read can be kept as JSON."""
    json.dumps(envelope(read(block)))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_header_table(field: bytes) -> None:
    """The same within the headers, of any type of field; and what was read can be published anew."""
    for kind in b"tbBUusIiLlfdDSAxTFV":
        properties = read(headers(bytes([kind]) + field))
        json.dumps(envelope(properties))
        BasicProperties(headers=carried(properties.headers or {})).encode()


def test_names_that_are_no_text_are_read_as_text() -> None:
    """An exchange or a routing key may be any bytes."""
    raw = delivery(1, b"x", BasicProperties(), "ABC", 16).replace(b"ABC", b"\xff\xfeC")
    heard = Heard()
    heard.receive(raw, [])
    assert heard.told[0][1] == "\\xff\\xfeC"
