"""The contract of an Outbox, held by the one on plain values and by RabbitMQ's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pika
import pytest

from consumers.broker import replies
from consumers.broker.connection import ENDURING, connect, parameters
from consumers.broker.declare import declare
from consumers.broker.publisher import NeverTaken
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from consumers.worker.memory import MemoryBroker, MemoryOutbox, MemorySource
from consumers.worker.outbox import AmqpOutbox
from consumers.worker.seams import Source
from consumers.worker.source import AmqpSource
from ingest.soak.system import until
from schemas.kinds.run_end import KIND
from schemas.message import Message
from schemas.topology import DELAY, QUARANTINE, RUNS
from schemas.verdict import Created, from_wire

REPLY_TO = "amq.rabbitmq.reply-to"
QUEUES = {QUARANTINE: 10, RUNS: 10}


class OnMemory:
    """A broker of plain values."""

    reply_to = "shim"

    def __init__(self) -> None:
        self._broker = MemoryBroker()

    def outbox(self) -> MemoryOutbox:
        return MemoryOutbox(self._broker)

    def source(self) -> Source:
        return MemorySource(self._broker, QUEUES)

    def pass_delay(self) -> None:
        self._broker.end_delay()

    def answers(self, correlation_id: str) -> list[Any]:
        return [verdict for known, verdict in self._broker.replies if known == correlation_id]

    def refuse(self) -> None:
        self._broker.blocked = True

    def forget(self, reply_to: str) -> None:
        self._broker.strangers.add(reply_to)

    def close(self) -> None:
        pass


class OnRabbitMQ:
    """A vhost of a real broker."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = connect(url, heartbeat=30, name="test")
        declare(self._connection)
        self._channel = self._connection.channel()
        self._heard: list[bytes] = []
        self.dropped: Counter[str] = Counter()
        self._channel.basic_consume(REPLY_TO, lambda *heard: self._heard.append(heard[3]), auto_ack=True)
        self._channel.queue_declare("addresses", exclusive=True)
        self._channel.basic_publish("", "addresses", b"", pika.BasicProperties(reply_to=REPLY_TO))
        self.reply_to = self._channel.basic_get("addresses", auto_ack=True)[1].reply_to

    def outbox(self) -> AmqpOutbox:
        return AmqpOutbox(
            lambda: connect(self._url, heartbeat=30, name="outbox", patience=ENDURING),
            lambda why: self.dropped.update([why]),
        )

    def source(self) -> Source:
        (host,) = parameters(self._url, heartbeat=30, name="source")
        return AmqpSource(host, QUEUES, 1)

    def pass_delay(self) -> None:
        """It takes its seconds."""

    def answers(self, correlation_id: str) -> list[Any]:
        return [from_wire(verdict) for known, verdict in self._answers() if known == correlation_id]

    def told(self) -> set[str]:
        return {known for known, _ in self._answers()}

    def _answers(self) -> list[Any]:
        self._connection.process_data_events(0.05)
        return [answer for body in self._heard for answer in json.loads(body)]

    def refuse(self) -> None:
        # No queue to lead to is as good as an alarm: the broker does not take it.
        for queue in (QUARANTINE, DELAY):
            self._channel.queue_delete(queue)

    def forget(self, reply_to: str) -> None:
        """Nobody is there."""

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(params=["memory", "rabbitmq"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    place = OnMemory() if request.param == "memory" else OnRabbitMQ(request.getfixturevalue("amqp_url"))
    yield place
    place.close()


@pytest.fixture
def outbox(place: Any) -> Iterator[Any]:
    outbox = place.outbox()
    yield outbox
    outbox.close()


def run_end(payload: bytes = b"{}", reply_to: str = "shim", correlation_id: str = "c-1") -> Delivery:
    """As a shim publishes one and a source takes it in, its sender waiting."""
    properties = pika.BasicProperties(type=KIND.name, headers={"x-node": "web01"}, delivery_mode=2)
    message = Message(KIND.name, payload, "http", node="web01")
    return Delivery(message, 1, 1, RUNS, "ingest", "run.end", reply_to, correlation_id, {"x-node": "web01"}, properties)


def next_of(place: Any) -> Delivery:
    """The first delivery that comes."""
    found: list[Delivery] = []
    source = place.source()
    try:
        until(lambda: bool(found.extend(source.poll(0.1)) or found), "it comes")
    finally:
        source.close()
    return found[0]


def test_a_suspect_is_in_quarantine_once_the_call_returns(place: Any, outbox: Any) -> None:
    """Payload, kind, facts and origin unchanged, its count at the beginning."""
    sent = run_end(b"\xff\x00 sacred")
    outbox.quarantine(msgspec.structs.replace(sent, headers={**sent.headers, "x-delivery-count": 2}))
    moved = next_of(place)
    assert moved.queue == QUARANTINE
    assert moved.message == sent.message
    assert (moved.exchange, moved.routing_key) == (sent.exchange, sent.routing_key)
    assert moved.deliveries == 0


def test_what_can_never_be_moved_is_said_so_and_the_next_one_is_moved(place: Any, outbox: Any) -> None:
    """An envelope that came in one frame, and with our facts beside its own does not fit into one any more."""
    if isinstance(place, OnMemory):
        pytest.skip("plain values fit everywhere")
    large = {f"x-{number}": "x" * 1000 for number in range(130)}
    odd = msgspec.structs.replace(run_end(), properties=pika.BasicProperties(headers=large), routing_key="r" * 255)
    for move in (outbox.quarantine, outbox.delay):
        with pytest.raises(NeverTaken, match="frame"):
            move(odd)
    outbox.park(odd, "no letter could be made of it")
    outbox.quarantine(run_end(b"next"))
    assert next_of(place).message.payload == b"next"


def test_what_is_delayed_comes_back_one_retry_older(place: Any, outbox: Any) -> None:
    """To the queue of runs, bytes unchanged, its count at the beginning."""
    sent = run_end(b'{"action": "end"}')
    outbox.delay(msgspec.structs.replace(sent, headers={**sent.headers, "x-delivery-count": 1}))
    place.pass_delay()
    again = next_of(place)
    assert (again.queue, again.retries, again.message, again.deliveries) == (RUNS, 1, sent.message, 0)


def test_whoever_waits_is_told_his_verdict(place: Any, outbox: Any) -> None:
    """And who does not wait is told nothing."""
    silent = msgspec.structs.replace(run_end(), reply_to=None, correlation_id=None)
    assert outbox.reply([(run_end(reply_to=place.reply_to), Created("/x")), (silent, Created("/y"))])
    until(lambda: place.answers("c-1"), "the answer is there")
    assert place.answers("c-1") == [Created("/x")]


BROKEN = {
    "no_base64": "amq.rabbitmq.reply-to.!!!!.####",
    "nonsense": "amq.rabbitmq.reply-to.bm9uc2Vuc2U=.a2V5",
    "no_pid": "amq.rabbitmq.reply-to.g2EB.a2V5",
    "no_node": "amq.rabbitmq.reply-to.g1h2AA5ub3doZXJlQDk5OTk5OQAAAuUAAAAAawhHhA==.a2V5",
    "cut": "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAxMDI5Mzc0OAAA.a2V5",
    "bare": "amq.rabbitmq.reply-to",
    "queue": "ingest.actions",
}
"""Addresses that no broker has made."""


@pytest.mark.parametrize("looked_at", [True, False], ids=["by_their_form", "by_what_they_do"])
def test_a_broken_address_costs_nobody_else_his_answer(
    place: Any, outbox: Any, looked_at: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and behind the others in one batch, and in the next: known by its form or, were it not, by the loss."""
    if isinstance(place, OnMemory):
        pytest.skip("plain values have no addresses")
    if not looked_at:
        monkeypatch.setattr(replies, "is_direct", lambda reply_to: True)
    everybody = []
    for number, broken in enumerate(2 * list(BROKEN.values())):
        good = [
            (run_end(reply_to=place.reply_to, correlation_id=f"{number}-{each}"), Created("/x")) for each in range(20)
        ]
        everybody += [each.correlation_id for each, _ in good]
        bad = [(run_end(reply_to=broken), Created("/y")), (run_end(reply_to=broken[:-1]), Created("/y"))]
        outbox.reply([bad[0], *good, bad[1]])

    def untold() -> set[str]:
        outbox.tick()
        return set(everybody) - set(place.told())

    until(lambda: not untold(), "everybody is told")
    if looked_at:
        assert place.dropped == {"address": 4 * len(BROKEN)}, "and each that is not is counted"
    outbox.quarantine(run_end(b"moved all the same"))
    assert next_of(place).message.payload == b"moved all the same"


def test_it_is_known_whether_a_shim_is_still_there(place: Any, outbox: Any) -> None:
    """Asked as often as one likes; answers go out after it as before."""
    there, gone = place.reply_to, f"{place.reply_to[:-8]}AAAAAAA="
    place.forget(gone)
    assert [outbox.listening(each) for each in (gone, there, gone)] == [False, True, False]
    assert outbox.reply([(run_end(reply_to=there), Created("/x"))])
    if isinstance(place, OnRabbitMQ):
        assert not any(outbox.listening(each) for each in BROKEN.values())
        assert outbox.listening(there)


@pytest.mark.parametrize("move", ["quarantine", "delay"])
def test_what_the_broker_does_not_take_is_still_ours(place: Any, outbox: Any, move: str) -> None:
    """The caller hears of it; answers are lost without a word."""
    place.refuse()
    with pytest.raises(BrokerUnavailable):
        getattr(outbox, move)(run_end())
    outbox.reply([(msgspec.structs.replace(run_end(), reply_to="nobody"), Created("/x"))])
    outbox.tick()
