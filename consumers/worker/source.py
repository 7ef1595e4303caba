"""The worker's inbox: deliveries off its queues, or none, a tick, when nothing came in time."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

import pika
import pika.exceptions
from pika.channel import Channel
from pika.spec import BasicProperties

from consumers.broker.frames import Arrival, DeliveringConnection
from consumers.broker.settle import acknowledge
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from consumers.runtime.signals import SignalInbox
from consumers.worker.intake import taken_in

OPEN_SECONDS: Final = 15.0
"""How long the broker may take over each step of opening and closing."""

HELD_BYTES: Final = 4 * 1024 * 1024
"""Payload bytes that are taken in at most (and one turn of the loop more) before the first `poll`."""


class AmqpSource:
    """A Source of `queues` (name -> prefetch), consumed on one channel of a connection of its own.

    pika's SelectConnection, whose loop is turned here by hand, with deliveries put together by our own
    `DeliveringConnection`: as readable to the caller as a BlockingConnection. `generation` tells this
    channel's delivery tags from an older channel's. A signal that arrives in `signals` ends a waiting `poll`. Of what
    is `held` nothing comes.
    Raises BrokerUnavailable when it can't be opened.
    """

    def __init__(
        self,
        parameters: pika.URLParameters,
        queues: Mapping[str, int],
        generation: int,
        signals: SignalInbox | None = None,
        held: Collection[str] = (),
    ) -> None:
        self.generation = generation
        self._inbox: list[Delivery] = []
        self._queues: dict[str, str] = {}
        self._answered: set[str] = set()
        self._let_go: set[str] = set()
        self._coming: dict[str, str] = {}
        self._lost: str = ""
        self._closed = False
        self._stopping = False
        self._prefetch = dict(queues)
        self._extra: Counter[str] = Counter()
        self._connection = DeliveringConnection(
            parameters,
            on_open_error_callback=lambda _, error: self._lose(f"can't connect to RabbitMQ: {error!r}"),
            on_close_callback=lambda _, error: self._lose(f"lost RabbitMQ: {error!r}"),
        )
        self._loop = self._connection.ioloop
        self._loop.activate_poller()
        try:
            self._open({name: prefetch for name, prefetch in queues.items() if name not in held}, signals)
        except BaseException:
            self.close()
            raise

    def _open(self, queues: Mapping[str, int], signals: SignalInbox | None) -> None:
        if signals is not None:
            self._loop.add_handler(signals.fileno(), lambda *_: signals.take(), self._loop.READ)
        self._turn_until(lambda: self._connection.is_open)
        self._connection.hear(self._on_delivery)
        self.channel: Channel = self._connection.channel(on_open_callback=lambda _: None)
        self._turn_until(lambda: self.channel.is_open)
        self.channel.add_on_close_callback(lambda _, error: self._lose(f"the broker closed our channel: {error!r}"))
        self.channel.add_on_cancel_callback(self._on_cancel)
        self._wanted = len(queues)
        self._to_consume = list(queues.items())
        self._uncancelled: set[str] = set()
        self._consume_next()
        # The broker delivers from the first queue on, and its answer for the next comes after that: what is large
        # is not read to its end here, but as the caller polls, who knows how much he can hold.
        self._turn_until(lambda: self._consuming or self._held > HELD_BYTES)

    def poll(self, timeout: float) -> list[Delivery]:
        """What has come, waiting up to `timeout` seconds for the first; keeps heartbeats going.

        Raises BrokerUnavailable when the connection, the channel or a consumer is gone.
        """
        if not self._inbox and not self._lost:
            self._turn(timeout)
        if self._lost:
            raise BrokerUnavailable(self._lost)
        deliveries, self._inbox = self._inbox, []
        return deliveries

    def wake(self) -> None:
        """Make a waiting `poll` return now. The one method another thread may call."""
        self._loop.add_callback_threadsafe(lambda: None)

    def acknowledge(self, deliveries: Iterable[Delivery], *, whole_prefix: bool) -> None:
        """Ack those of this channel."""
        tags = [each.tag for each in deliveries if each.generation == self.generation]
        acknowledge(self.channel, tags, whole_prefix=whole_prefix)

    def make_room(self, queue: str, held: int) -> None:
        """Consume once more where half of what is taken at a time is held: each consumer has its own prefetch."""
        prefetch = self._prefetch[queue]
        # While queues are still being consumed, a prefetch set here could be taken for the next one's.
        if self._stopping or not self._consuming or held < prefetch * (self._extra[queue] + 0.5):
            return
        if queue not in {name for tag, name in self._queues.items() if tag not in self._let_go}:
            return
        try:
            self._consume_more(queue)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def hold(self, queues: Collection[str]) -> None:
        """Cancel the consumers of these, and consume what is not consumed of the others."""
        if self._stopping or not self._consuming:
            return
        self._coming = {tag: queue for tag, queue in self._coming.items() if queue not in queues}
        consumed = {tag: queue for tag, queue in self._queues.items() if tag not in self._let_go}
        try:
            for tag in [tag for tag, queue in consumed.items() if queue in queues]:
                self._let_go.add(tag)
                self.channel.basic_cancel(tag, callback=lambda _: None)
            for queue in self._prefetch.keys() - {*consumed.values(), *self._coming.values(), *queues}:
                self._consume_more(queue)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def stop_consuming(self) -> None:
        """Ask for no more deliveries; what is under way is still polled, and can be settled."""
        self._stopping = True
        self._to_consume.clear()
        self._uncancelled = set(self._queues) - self._let_go
        try:
            for tag in sorted(self._uncancelled):
                self.channel.basic_cancel(tag, callback=partial(self._on_cancelled, tag))
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    @property
    def stopped(self) -> bool:
        """After `stop_consuming`: the broker has heard it, so nothing more is under way."""
        return not self._uncancelled

    def close(self) -> None:
        """Give back what is unacked, and leave."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(pika.exceptions.AMQPError, OSError, BrokerUnavailable):
            if not (self._connection.is_closing or self._connection.is_closed):
                self._connection.close()
            self._turn_until(lambda: self._connection.is_closed, bear_loss=True)
        self._loop.close()

    @property
    def _consuming(self) -> bool:
        return len(self._answered) == self._wanted

    @property
    def _held(self) -> int:
        return sum(len(each.message.payload) for each in self._inbox)

    def _consume_next(self) -> None:
        """Consume one queue after another, each once the broker has answered for the one before."""
        if self._to_consume:
            queue, prefetch = self._to_consume.pop(0)
            # Without a global flag the prefetch holds for the consumers that come after it.
            tag = f"{queue}.{self.generation}"
            self.channel.basic_qos(prefetch_count=prefetch, callback=lambda _: self._consume(queue, tag))

    def _consume_more(self, queue: str) -> None:
        self._extra[queue] += 1
        tag = f"{queue}.{self.generation}.{self._extra[queue]}"
        self._coming[tag] = queue

        def consume(_answer: Any) -> None:
            # It may have been thought better of meanwhile.
            if self._coming.pop(tag, None) is not None:
                self._consume(queue, tag)

        self.channel.basic_qos(prefetch_count=self._prefetch[queue], callback=consume)

    def _consume(self, queue: str, tag: str) -> None:
        if self._stopping:
            return
        self._queues[tag] = queue
        self.channel.basic_consume(queue, self._on_message, consumer_tag=tag, callback=partial(self._on_consuming, tag))

    def _on_consuming(self, tag: str, _answer: Any) -> None:
        if not self._consuming:
            self._answered.add(tag)
            self._consume_next()

    def _on_cancelled(self, tag: str, _answer: Any) -> None:
        self._uncancelled.discard(tag)

    def _turn_until(self, done: Callable[[], bool], *, bear_loss: bool = False) -> None:
        """`bear_loss`: go on though the channel is gone, as it is once we have said goodbye."""
        deadline = time.monotonic() + OPEN_SECONDS
        while not done():
            if self._lost and not bear_loss:
                raise BrokerUnavailable(self._lost)
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"RabbitMQ did not answer within {OPEN_SECONDS:g} s")
            self._turn(0.1)

    def _turn(self, timeout: float) -> None:
        """One turn reads what the socket holds; a wake-up from another thread ends it too."""
        timer = self._loop.call_later(timeout, lambda: None)
        self._loop.poll()
        self._loop.process_timeouts()
        self._loop.remove_timeout(timer)

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why

    def _on_cancel(self, frame: Any) -> None:
        queue = self._queues.get(frame.method.consumer_tag, "a queue")
        why = "the queue was deleted, or nothing was acknowledged within its consumer timeout"
        self._lose(f"the broker cancelled our consumer of {queue}, and does not say why: {why}")

    def _on_message(self, _channel: Channel, method: Any, properties: Any, body: bytes) -> None:
        self._on_delivery(Arrival.of(method), method.delivery_tag, properties, body)

    def _on_delivery(self, address: Arrival, tag: int, properties: BasicProperties, body: bytes) -> None:
        queue = self._queues[address.consumer_tag]
        self._inbox.append(taken_in(address, queue, tag, self.generation, properties, body))
