"""The contract of a Source, held by the one on plain values and by RabbitMQ's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

from consumers.broker.connection import connect, parameters
from consumers.broker.deaths import broker_death
from consumers.broker.declare import declare
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from consumers.worker.memory import MemoryBroker, MemorySource
from consumers.worker.seams import Source
from consumers.worker.source import AmqpSource
from ingest.soak.proxy import Proxy
from ingest.soak.system import through, until
from schemas.message import Message
from schemas.topology import ACTIONS, DEAD, QUARANTINE, RUNS

PREFETCH = 4


class OnMemory:
    """A broker of plain values."""

    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._generations = 0

    def open(self) -> Source:
        self._generations += 1
        return MemorySource(self._broker, {ACTIONS: PREFETCH, RUNS: PREFETCH}, self._generations)

    def open_quarantine(self) -> Source:
        self._generations += 1
        return MemorySource(self._broker, {QUARANTINE: 1, DEAD: 1}, self._generations)

    def suspect(self, payload: bytes) -> None:
        self._broker.put(Delivery(Message("action", payload, "http"), 0, 0, QUARANTINE, "", QUARANTINE))

    def open_fragile(self) -> Source:
        self._fragile = MemorySource(self._broker, {ACTIONS: PREFETCH}, 99)
        return self._fragile

    def silence(self) -> None:
        self._fragile.lose(unheard=True)

    def cut(self) -> None:
        self._fragile.lose()

    def put(self, *payloads: bytes) -> None:
        for payload in payloads:
            self._broker.put(Delivery(Message("action", payload, "http"), 0, 0, ACTIONS, "ingest", "action"))

    def ready(self) -> int:
        return len(self._broker.queues[ACTIONS])

    def fail(self) -> None:
        self._broker.down = True

    def close(self) -> None:
        pass


class OnRabbitMQ:
    """A vhost of a real broker."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._generations = 0
        self._connection = connect(url, heartbeat=30, name="test")
        declare(self._connection)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._undo = ExitStack()

    def open(self) -> Source:
        self._generations += 1
        (host,) = parameters(self._url, heartbeat=30, name=f"source {self._generations}")
        self._source = AmqpSource(host, {ACTIONS: PREFETCH, RUNS: PREFETCH}, self._generations)
        return self._source

    def open_quarantine(self) -> Source:
        self._generations += 1
        (host,) = parameters(self._url, heartbeat=30, name=f"quarantine {self._generations}")
        return AmqpSource(host, {QUARANTINE: 1, DEAD: 1}, self._generations)

    def suspect(self, payload: bytes) -> None:
        self._channel.basic_publish("", QUARANTINE, payload, pika.BasicProperties(delivery_mode=2))

    def open_fragile(self) -> Source:
        proxy = self._proxy = self._undo.enter_context(Proxy(urlsplit(self._url).port or 5672))
        (host,) = parameters(through(self._url, proxy.port), heartbeat=30, name="fragile")
        return AmqpSource(host, {ACTIONS: PREFETCH}, 99)

    def silence(self) -> None:
        self._proxy.set(black_hole=True)

    def cut(self) -> None:
        self._proxy.cut()

    def put(self, *payloads: bytes) -> None:
        for payload in payloads:
            self._channel.basic_publish("ingest", "action", payload, pika.BasicProperties(delivery_mode=2))

    def ready(self) -> int:
        return int(self._channel.queue_declare(ACTIONS, passive=True).method.message_count)

    def fail(self) -> None:
        # What the broker does to one that takes a tag which was never given.
        self._source.channel.basic_ack(10**6)

    def close(self) -> None:
        self._undo.close()
        self._connection.close()


@pytest.fixture(params=["memory", "rabbitmq"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    place = OnMemory() if request.param == "memory" else OnRabbitMQ(request.getfixturevalue("amqp_url"))
    yield place
    place.close()


@pytest.fixture
def opened(place: Any) -> Iterator[Callable[[], Source]]:
    """Opens sources, and closes them at the end."""
    sources: list[Source] = []

    def make() -> Source:
        sources.append(place.open())
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def received(source: Source, count: int) -> list[Delivery]:
    """What comes, once `count` have."""
    found: list[Delivery] = []
    until(lambda: len(found) >= count or found.extend(source.poll(0.1)) or len(found) >= count, "they come")
    return found


def payloads(deliveries: list[Delivery]) -> list[bytes]:
    return [each.message.payload for each in deliveries]


def test_oldest_first_and_no_more_than_the_prefetch(place: Any, opened: Any) -> None:
    """Tags count up from 1; the next comes when one is acknowledged."""
    place.put(*(b"%d" % number for number in range(6)))
    source = opened()
    found = received(source, PREFETCH)
    assert [(each.tag, each.message.payload, each.deliveries) for each in found] == [
        (number + 1, b"%d" % number, 0) for number in range(PREFETCH)
    ]
    assert source.poll(0.2) == []
    source.acknowledge(found[:1], whole_prefix=False)
    assert payloads(received(source, 1)) == [b"4"]


def test_what_is_acknowledged_never_comes_again_and_the_rest_does(place: Any, opened: Any) -> None:
    """One by one; and what goes back is counted."""
    place.put(b"a", b"b", b"c")
    source = opened()
    first, second, third = received(source, 3)
    source.acknowledge([third, first], whole_prefix=False)
    source.close()
    until(lambda: place.ready() == 1, "it is back")
    (again,) = received(opened(), 1)
    assert (again.message.payload, again.deliveries) == (second.message.payload, 1)


def test_a_whole_prefix_is_acknowledged_by_its_youngest(place: Any, opened: Any) -> None:
    """Everything older with it, and nothing younger."""
    place.put(b"a", b"b", b"c")
    source = opened()
    found = received(source, 3)
    source.acknowledge(found[1:2], whole_prefix=True)
    source.close()
    until(lambda: place.ready() == 1, "the youngest is back")
    assert payloads(received(opened(), 1)) == [b"c"]


def test_tags_of_another_generation_acknowledge_nothing(place: Any, opened: Any) -> None:
    """The broker has those back already, and their tags mean other deliveries by now."""
    place.put(b"a")
    first = opened()
    old = received(first, 1)
    first.close()
    second = opened()
    received(second, 1)
    second.acknowledge(old, whole_prefix=True)
    second.close()
    until(lambda: place.ready() == 1, "it was not acknowledged")


def test_room_is_made_beside_what_stays_in_hand(place: Any, opened: Any) -> None:
    """As many others as the prefetch can be in hand once half of it is held."""
    place.put(*(b"%d" % number for number in range(12)))
    source = opened()
    held = received(source, PREFETCH)
    source.make_room(ACTIONS, len(held))
    others = received(source, PREFETCH)
    assert sorted(payloads(held + others)) == sorted(b"%d" % number for number in range(2 * PREFETCH))
    assert source.poll(0.2) == []
    source.make_room(ACTIONS, 2 * PREFETCH)
    assert len(received(source, PREFETCH)) == PREFETCH


def test_of_a_queue_that_is_held_nothing_comes_until_it_is_let_go(place: Any, opened: Any) -> None:
    """What was taken of it before can be acknowledged; held and let go again and again, all comes, and once."""
    place.put(*(b"%d" % number for number in range(PREFETCH + 2)))
    source = opened()
    found = received(source, PREFETCH)
    for _ in range(2):
        source.hold({ACTIONS})
        assert source.poll(0.5) == []
        source.hold(())
        source.hold({ACTIONS})
    source.acknowledge(found, whole_prefix=True)
    until(lambda: not source.poll(0.1) and place.ready() == 2, "the rest waits")
    rest: list[Delivery] = []
    until(lambda: source.hold(()) or rest.extend(source.poll(0.1)) or len(rest) == 2, "the rest comes")
    assert payloads(found + rest) == [b"%d" % number for number in range(PREFETCH + 2)]
    source.acknowledge(rest, whole_prefix=True)
    source.hold({ACTIONS})
    source.stop_consuming()
    until(lambda: not source.poll(0.1) and source.stopped, "it stops")


def test_after_stop_consuming_nothing_comes_and_all_can_be_acknowledged(place: Any, opened: Any) -> None:
    """A drain: what is in hand is finished, what is not is for others."""
    place.put(b"a")
    source = opened()
    found = received(source, 1)
    source.stop_consuming()
    until(lambda: source.poll(0.05) == [] and source.stopped, "the broker has heard it")
    place.put(b"b")
    assert source.poll(0.2) == []
    source.acknowledge(found, whole_prefix=True)
    source.close()
    until(lambda: place.ready() == 1, "only the other one is left")
    assert payloads(received(opened(), 1)) == [b"b"]


def test_a_wake_ends_a_poll(place: Any, opened: Any) -> None:
    """From another thread, and long before the poll's own end."""
    source = opened()
    waker = threading.Timer(0.1, source.wake)
    waker.start()
    began = time.monotonic()
    assert source.poll(60) == []
    assert time.monotonic() - began < 30
    waker.join()


def test_once_the_broker_is_gone_every_call_says_so(place: Any, opened: Any) -> None:
    """And closing raises nothing, twice."""
    source = opened()
    place.fail()
    with pytest.raises(BrokerUnavailable):
        until(lambda: source.poll(0.1) is None, "it says so")
    source.close()
    source.close()


def test_an_acknowledgement_that_the_broker_never_heard_is_none(place: Any, opened: Any) -> None:
    """Nor is it noticed: what it was of comes to others, counted, while its owner believes that it is gone."""
    place.put(b"a")
    owner = place.open_fragile()
    found = received(owner, 1)
    place.silence()
    owner.acknowledge(found, whole_prefix=True)
    assert owner.poll(0.1) == []
    place.cut()
    (again,) = received(opened(), 1)
    assert (again.message.payload, again.deliveries) == (b"a", 1)
    with pytest.raises(BrokerUnavailable):
        until(lambda: owner.poll(0.1) is None, "it hears of it")
    owner.close()


def test_what_quarantine_takes_back_a_fourth_time_is_given_up_with_the_reason(place: Any) -> None:
    """Off the dead letter queue, where it has never come before."""
    place.suspect(b"deadly")
    for count in range(4):
        source = place.open_quarantine()
        (each,) = received(source, 1)
        assert (each.queue, each.deliveries) == (QUARANTINE, count)
        source.close()
    source = place.open_quarantine()
    (dead,) = received(source, 1)
    source.acknowledge([dead], whole_prefix=True)
    source.close()
    assert (dead.queue, dead.message.payload) == (DEAD, b"deadly")
    assert broker_death(dead.properties.headers).reason == "delivery_limit"


def test_a_source_that_closes_leaves_no_descriptor(place: Any) -> None:
    """Session after session: a worker that lives through many outages must not run out of them."""

    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    place.open().close()
    before = descriptors()
    for _ in range(3):
        place.open().close()
    assert descriptors() <= before
