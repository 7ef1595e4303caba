"""Worker and shim work the same whether frames are read straight or come by way of pika's own callbacks."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pika
import pytest
from http_support import broker_channel, declare_topology
from pika.adapters.blocking_connection import BlockingChannel

from consumers.broker.connection import parameters
from consumers.broker.frames import Frames
from consumers.delivery import Delivery
from consumers.runtime.signals import SignalInbox
from consumers.worker.source import HELD_BYTES, AmqpSource
from ingest.http.outcome import QUEUED, Outcome
from ingest.publisher.connection import hosts
from ingest.publisher.publisher import Publisher
from ingest.soak.system import until
from schemas.doors import CHEF_EXCHANGE
from schemas.message import Message
from schemas.topology import ACTIONS, PINGS, RUNS
from schemas.verdict import Created

MB = 1024 * 1024
LARGE = 60
BODIES = [b"", b"{}", b'{"a": "' + b"x" * 300_000 + b'"}']


@pytest.fixture(params=["straight", "by pika"])
def channel(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, amqp_url: str
) -> Iterator[BlockingChannel]:
    """A channel of the test's own, to the broker whose URL it carries."""
    if request.param == "by pika":
        monkeypatch.setattr(Frames, "hear", lambda *_: None)
    declare_topology(amqp_url)
    with broker_channel(amqp_url) as channel:
        channel.confirm_delivery()
        yield channel


def received(source: AmqpSource, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    for _ in range(100):
        found += source.poll(0.1)
        if len(found) >= count:
            break
    return found


def test_a_source_gives_the_same_deliveries(channel: BlockingChannel, amqp_url: str) -> None:
    """Body, tag, exchange, routing key, properties and headers, for bodies of no, one and three frames."""
    properties = pika.BasicProperties(type="action", headers={"x-node": "n"}, correlation_id="c", delivery_mode=2)
    for body in BODIES:
        channel.basic_publish(CHEF_EXCHANGE, "erchef.action", body, properties)
    (host,) = parameters(amqp_url, heartbeat=30, name="test")
    source = AmqpSource(host, {ACTIONS: 10}, 1)
    try:
        found = received(source, len(BODIES))
    finally:
        source.close()
    assert [each.message.payload for each in found] == BODIES
    assert [each.tag for each in found] == [1, 2, 3]
    for each in found:
        assert (each.exchange, each.routing_key, each.queue) == (CHEF_EXCHANGE, "erchef.action", ACTIONS)
        assert (each.properties.correlation_id, each.properties.headers) == ("c", {"x-node": "n"})
        # It came from a Chef server: nothing of that is believed.
        assert (each.correlation_id, each.headers, each.message.door) == (None, {}, "chef")


@pytest.mark.parametrize("queues", [[ACTIONS], [ACTIONS, RUNS, PINGS]])
def test_a_source_that_is_open_consumes_every_queue(channel: BlockingChannel, amqp_url: str, queues: list[str]) -> None:
    """A worker says that it consumes once it has its source: the broker must know each of its consumers by then."""
    (host,) = parameters(amqp_url, heartbeat=30, name="test")
    source = AmqpSource(host, dict.fromkeys(queues, 10), 1)
    try:
        assert [channel.queue_declare(each, passive=True).method.consumer_count for each in queues] == [1] * len(queues)
    finally:
        source.close()


def test_a_source_takes_in_no_more_than_it_may_before_it_is_asked(channel: BlockingChannel, amqp_url: str) -> None:
    """Before a backlog of large messages it starts with a few; polled on it has them all; stopped it gets no more."""
    for number in range(LARGE):
        channel.basic_publish(CHEF_EXCHANGE, "erchef.action", bytes([number]) * MB)
    (host,) = parameters(amqp_url, heartbeat=30, name="test")
    queues = {ACTIONS: 2000, RUNS: 10, PINGS: 10}
    source = AmqpSource(host, queues, 1)
    try:
        found = source.poll(0)
        assert sum(len(each.message.payload) for each in found) <= HELD_BYTES + 2 * MB

        def consumed(queue: str) -> bool:
            found.extend(source.poll(0.01))
            return bool(channel.queue_declare(queue, passive=True).method.consumer_count == 1)

        until(lambda: all(map(consumed, queues)) and len(found) >= LARGE, "all is received, every queue consumed")
        source.stop_consuming()
        until(lambda: source.poll(0.01) == [] and source.stopped, "the broker has heard it")
        channel.basic_publish(CHEF_EXCHANGE, "erchef.action", b"{}")
        assert source.poll(0.2) == []
        assert channel.queue_declare(ACTIONS, passive=True).method.message_count == 1
    finally:
        source.close()
    assert [each.message.payload[0] for each in found] == list(range(LARGE))


def test_a_signal_ends_a_poll_that_waits(channel: BlockingChannel, amqp_url: str) -> None:
    """A worker that is told to stop does so now, not when its loop would have woken by itself."""
    (host,) = parameters(amqp_url, heartbeat=30, name="test")
    before = signal.getsignal(signal.SIGUSR1)
    signals = SignalInbox([signal.SIGUSR1])
    taken: list[int] = []
    monitored = SimpleNamespace(fileno=signals.fileno, take=lambda: taken.extend(signals.take()))
    source = AmqpSource(host, {ACTIONS: 10}, 1, monitored)  # type: ignore[arg-type]
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert source.poll(5) == []
        assert taken == [signal.SIGUSR1]
    finally:
        source.close()
        signals.close()
        signal.signal(signal.SIGUSR1, before)


def test_a_publisher_hears_the_same_confirms_and_replies(channel: BlockingChannel, amqp_url: str) -> None:
    """One that does not wait is confirmed; one that waits has the verdict of whoever answers."""
    verdict = Created("/actions/x")

    async def publish() -> list[Outcome]:
        publisher = Publisher(lambda: hosts(amqp_url, heartbeat=30), confirm_seconds=10, max_outstanding=10)
        publisher.start()
        async with asyncio.timeout(20):
            while not publisher.connected:
                await asyncio.sleep(0.01)
        outcomes = [await publisher.publish(Message("action", body, "http"), wait=0)[1] for body in BODIES]
        correlation_id, outcome = publisher.publish(Message("action", b"{}", "http"), wait=10)
        answered = False
        while not answered:
            _, properties, _ = await asyncio.to_thread(channel.basic_get, ACTIONS, True)
            answered = properties is not None and properties.correlation_id == correlation_id
        reply = f'[["{correlation_id}", {{"code": "created", "path": "/actions/x"}}]]'
        channel.basic_publish("", properties.reply_to, reply.encode())
        outcomes.append(await outcome)
        await publisher.close()
        return outcomes

    assert asyncio.run(publish()) == [QUEUED, QUEUED, QUEUED, verdict]
