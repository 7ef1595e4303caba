"""The contract of an Outbox, held by the one on plain values and by RabbitMQ's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pika
import pytest

from consumers.broker.connection import connect, parameters
from consumers.broker.declare import declare
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

QUEUES = {QUARANTINE: 10, RUNS: 10}


class OnMemory:
    """A broker of plain values."""

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

    reply_to = "answers"

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = connect(url, heartbeat=30, name="test")
        declare(self._connection)
        self._channel = self._connection.channel()
        self._channel.queue_declare(self.reply_to)

    def outbox(self) -> AmqpOutbox:
        return AmqpOutbox(lambda: connect(self._url, heartbeat=30, name="outbox"))

    def source(self) -> Source:
        (host,) = parameters(self._url, heartbeat=30, name="source")
        return AmqpSource(host, QUEUES, 1)

    def pass_delay(self) -> None:
        """It takes its seconds."""

    def answers(self, correlation_id: str) -> list[Any]:
        _, _, body = self._channel.basic_get(self.reply_to, auto_ack=True)
        return [from_wire(verdict) for known, verdict in json.loads(body or b"[]") if known == correlation_id]

    def refuse(self) -> None:
        # No queue to lead to is as good as an alarm: the broker does not take it.
        for queue in (QUARANTINE, DELAY):
            self._channel.queue_delete(queue)

    def forget(self, reply_to: str) -> None:
        self._channel.queue_delete(reply_to)

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


def run_end(payload: bytes = b"{}") -> Delivery:
    """As a shim publishes one and a source takes it in, its sender waiting."""
    properties = pika.BasicProperties(type=KIND.name, headers={"x-node": "web01"}, delivery_mode=2)
    message = Message(KIND.name, payload, "http", node="web01")
    return Delivery(
        message, 1, 1, RUNS, "ingest", "run.end", OnRabbitMQ.reply_to, "c-1", {"x-node": "web01"}, properties
    )


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
    outbox.quarantine(sent)
    moved = next_of(place)
    assert moved.queue == QUARANTINE
    assert moved.message == sent.message
    assert (moved.exchange, moved.routing_key) == (sent.exchange, sent.routing_key)
    assert moved.deliveries == 0


def test_what_is_delayed_comes_back_one_retry_older(place: Any, outbox: Any) -> None:
    """To the queue of runs, bytes unchanged."""
    sent = run_end(b'{"action": "end"}')
    outbox.delay(sent)
    place.pass_delay()
    again = next_of(place)
    assert (again.queue, again.retries, again.message) == (RUNS, 1, sent.message)


def test_whoever_waits_is_told_his_verdict(place: Any, outbox: Any) -> None:
    """And who does not wait is told nothing."""
    silent = msgspec.structs.replace(run_end(), reply_to=None, correlation_id=None)
    assert outbox.reply([(run_end(), Created("/x")), (silent, Created("/y"))])
    told: list[Any] = []
    until(lambda: bool(told.extend(place.answers("c-1")) or told), "the answer is there")
    assert told == [Created("/x")]


def test_it_is_known_whether_a_shim_is_still_there(place: Any, outbox: Any) -> None:
    """Asked as often as one likes; answers go out after it as before."""
    place.forget("gone")
    assert [outbox.listening(each) for each in ("gone", OnRabbitMQ.reply_to, "gone")] == [False, True, False]
    assert outbox.reply([(run_end(), Created("/x"))])


@pytest.mark.parametrize("move", ["quarantine", "delay"])
def test_what_the_broker_does_not_take_is_still_ours(place: Any, outbox: Any, move: str) -> None:
    """The caller hears of it; answers are lost without a word."""
    place.refuse()
    with pytest.raises(BrokerUnavailable):
        getattr(outbox, move)(run_end())
    outbox.reply([(msgspec.structs.replace(run_end(), reply_to="nobody"), Created("/x"))])
    outbox.tick()
