"""Asks a broker what a doctor wants to know; changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.broker.connection import connect
from consumers.broker.declare import ChannelCall, refusal, things
from consumers.broker.frames import server_properties
from consumers.broker.publisher import publishing
from consumers.broker.queues import counts
from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.message import PING
from schemas.topology import INGEST_EXCHANGE, Queue

ALARM_SECONDS: Final = 1.0
CONFIRM_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class RefusedDeclaration:
    """An exchange or a queue that we may not see, or that is not as it should be, and the broker's words for it."""

    what: str
    name: str
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One connection. Every question raises BrokerUnavailable."""

    connection: BlockingConnection
    silent: list[bool] = field(default_factory=list)
    """Not empty: the broker answers no goodbye, which is not waited for."""

    def product(self) -> tuple[str, str]:
        """The broker's name and version."""
        said = server_properties(self.connection)
        return str(said.get("product", "unknown")), str(said.get("version", "0"))

    def refused(self) -> list[RefusedDeclaration]:
        """Exchanges and queues that are missing, or that we may not see."""
        return [
            RefusedDeclaration(thing.what, thing.name, *found)
            for thing in things()
            if (found := self._refusal(thing.look))
        ]

    def differing(self, queue: Queue) -> RefusedDeclaration | None:
        """What is wrong with the arguments of a queue that is there. What is missing is not to be asked about."""
        for thing in things():
            if (thing.what, thing.name) == ("queue", queue.name) and (found := self._refusal(thing.make)):
                return None if self.older(queue) else RefusedDeclaration(thing.what, thing.name, *found)
        return None

    def older(self, queue: Queue) -> bool:
        """Whether a queue that is there was declared by an earlier version, without what is new."""
        return any(
            self._refusal(thing.make) and thing.older is not None and not self._refusal(thing.older)
            for thing in things()
            if (thing.what, thing.name) == ("queue", queue.name)
        )

    def counts(self, queue: str) -> tuple[int, int]:
        """Messages ready and consumers."""
        with _translated():
            channel = self.connection.channel()
            found = counts(channel, queue)
            channel.close()
        return found

    def publishing(self) -> tuple[str, str]:
        """Why the broker blocks publishers, and why it refuses what shims publish, in its words; empty: it does not.

        It says nothing of an alarm before one publishes; a ping nobody needs is published for that.
        """
        blocked: list[str] = []
        with _translated():
            told = self.connection.add_on_connection_blocked_callback
            told(lambda _, frame: blocked.append(str(frame.method.reason)))
            channel = self.connection.channel()
            channel.basic_publish(INGEST_EXCHANGE, PING, b"{}", _ping())
            deadline = time.monotonic() + ALARM_SECONDS
            while not blocked and time.monotonic() < deadline:
                self.connection.process_data_events(0.1)
        refused = "" if channel.is_open else f"publishing to {INGEST_EXCHANGE!r} closed the channel"
        return blocked[0] if blocked else "", refused

    def replying(self) -> str:
        """Why workers can't reply, in the broker's words; empty: they can. Not to be asked while it blocks publishers.

        Replies go through the default exchange; a message for a queue that is not there is dropped.
        """

        def reply(channel: BlockingChannel) -> None:
            channel.confirm_delivery()
            channel.basic_publish("", "ingest.nobody", b"{}", _ping())

        refused = self._refusal(reply)
        return refused[1] if refused else ""

    def _refusal(self, step: ChannelCall) -> tuple[int, str] | None:
        with _translated():
            return refusal(self.connection, step)


def confirms(amqp_url: str, *, heartbeat: int, seconds: float = CONFIRM_SECONDS) -> bool:
    """Whether the broker confirms a message within `seconds`; one that can't be asked is no matter of this.

    After a full disk RabbitMQ's write-ahead log may stay dead though there is room again: it takes messages, tells of
    no alarm, and confirms nothing. The wait has no other end, so that a thread waits, and is left behind.
    """
    answered = threading.Event()

    def publish() -> None:
        with (
            suppress(BrokerUnavailable, Misconfigured),
            publishing(amqp_url, heartbeat=heartbeat, name="chef-ingest doctor") as publisher,
        ):
            publisher.publish(INGEST_EXCHANGE, PING, b"{}", _ping())
        answered.set()

    threading.Thread(target=publish, name="confirms", daemon=True).start()
    return answered.wait(seconds)


def _ping() -> pika.BasicProperties:
    return pika.BasicProperties(type=PING, expiration="1000", delivery_mode=1)


@contextmanager
def probing(amqp_url: str, *, heartbeat: int) -> Iterator[Probe]:
    """A probe for the block. Raises BrokerUnavailable or Misconfigured."""
    connection = connect(amqp_url, heartbeat=heartbeat, name="chef-ingest doctor")
    blocked: list[bool] = []
    connection.add_on_connection_blocked_callback(lambda *_: blocked.append(True))
    try:
        yield Probe(connection, blocked)
    finally:
        # The broker does not read from whom it blocks: a goodbye would wait for an answer that does not come.
        if not blocked and connection.is_open:
            with _translated():
                connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"the connection broke: {error!r}") from error
