"""Answers to waiting shims, on a connection of their own: a broken address costs nobody else his answer."""

from __future__ import annotations

import base64
import binascii
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import pika.exceptions
import structlog
from pika.adapters.blocking_connection import BlockingConnection
from pika.channel import Channel

from consumers.broker.connection import OPEN_SECONDS, LiveConnection
from consumers.broker.publisher import ConfirmingPublisher, NotTaken
from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.labels import AnswerLoss

RECENT_SECONDS: Final = 3.0
"""How long an answer is kept: what was sent shortly before the connection was lost may have got nowhere."""
MOST_LOSSES: Final = 20
"""Broken addresses that are looked for at a time, at the cost of a connection each; beyond them, answers are lost."""
KNOWN: Final = 1000
"""Broken addresses that are remembered."""

_PREFIX: Final = "amq.rabbitmq.reply-to."


def is_direct(reply_to: str) -> bool:
    """Whether it is what a broker writes for RabbitMQ's direct reply-to: `amq.rabbitmq.reply-to.PID.KEY`.

    PID is base64 of an Erlang process id in its external form (PID_EXT or NEW_PID_EXT, with the node's name as an
    atom). Published to an address that begins so and is not of that form, a broker may end the connection.
    """
    pid, _, key = reply_to.removeprefix(_PREFIX).partition(".")
    if not reply_to.startswith(_PREFIX) or not key:
        return False
    try:
        raw = base64.b64decode(pid, validate=True)
    except (binascii.Error, ValueError):
        return False
    if raw[:1] != b"\x83" or raw[1:2] not in (b"g", b"X"):
        return False
    wide = raw[2:3] in (b"d", b"v")
    if not wide and raw[2:3] not in (b"s", b"w"):
        return False
    start = 5 if wide else 4
    size = int.from_bytes(raw[3:start], "big")
    name, rest = raw[start : start + size], raw[start + size :]
    # Number, serial and creation, which is one byte in the older form.
    named = b"@" in name and name.isascii() and name.decode().isprintable()
    return named and len(rest) == (9 if raw[1:2] == b"g" else 12)


class Replies:
    """Sends answers, best effort; connects when first used, and again after a loss. Nothing here raises.

    `dropped` is told of each message known not to have gone out.
    """

    def __init__(self, connect: Callable[[], BlockingConnection], dropped: Callable[[AnswerLoss], None]) -> None:
        self._connect = connect
        self._dropped = dropped
        self._live: LiveConnection | None = None
        self._channel: Channel | None = None
        self._recent: deque[tuple[float, str, bytes]] = deque()
        self._broken: set[str] = set()
        self._said: set[str] = set()

    def send(self, answers: Mapping[str, bytes]) -> bool:
        """One message to each address; whether all of them went out."""
        now = time.monotonic()
        fresh = 0
        for reply_to, body in answers.items():
            if not is_direct(reply_to):
                self._dropped("address")
                self._say("answer dropped", "its reply-to is none that a broker writes", reply_to)
            elif reply_to in self._broken:
                self._dropped("address")
            else:
                fresh += 1
                self._recent.append((now, reply_to, body))
        while self._recent and now - self._recent[0][0] > RECENT_SECONDS:
            self._recent.popleft()
        sent = self._try(lambda: self._send(now))
        for _ in range(0 if sent else fresh):
            self._dropped("broker")
        return sent

    def listening(self, reply_to: str) -> bool:
        """Whether somebody consumes at an address: the broker knows its pseudo-queue then."""
        return is_direct(reply_to) and reply_to not in self._broken and self._try(lambda: self._is_there(reply_to))

    def tick(self) -> None:
        """Keep the connection alive, and send again what was lost with it; it never waits for a broker in alarm."""
        if self._live is not None:
            self._try(lambda: self._ready() is not None)

    def close(self) -> None:
        """Leave the broker."""
        if self._live is not None:
            self._live.close()
        self._live = self._channel = None

    def _try(self, step: Callable[[], bool]) -> bool:
        try:
            return step()
        except (pika.exceptions.AMQPError, OSError, BrokerUnavailable, Misconfigured):
            self.close()
            return False

    def _send(self, now: float) -> bool:
        fresh = [each for each in self._recent if each[0] == now]
        if not fresh:
            return True
        live = self._ready()
        if live.blocked or self._channel is None:
            return False
        for _, reply_to, body in fresh:
            if reply_to not in self._broken:
                self._channel.basic_publish("", reply_to, body)
        return True

    def _is_there(self, reply_to: str) -> bool:
        live = self._ready()
        # A channel of its own: a queue that is not there costs it.
        channel, found = live.channel(), list[Any]()
        channel.queue_declare(reply_to, passive=True, callback=found.append)
        try:
            live.wait(lambda: bool(found) or bool(channel.is_closed), OPEN_SECONDS)
        except BrokerUnavailable:
            if live.internal_error:
                self._is_broken(reply_to)
            raise
        if channel.is_open:
            channel.close()
        return bool(found)

    def _ready(self) -> LiveConnection:
        if self._live is not None:
            self._live.turn()
            if self._live.lost:
                broke = self._live.internal_error
                self.close()
                if broke:
                    self._send_again()
        if self._live is None:
            self._live = LiveConnection(self._connect())
            self._channel = None
        if not self._live.blocked and (self._channel is None or self._channel.is_closed):
            self._channel = self._live.channel()
            self._channel.add_on_close_callback(lambda _, error: self._refused(error))
        return self._live

    def _send_again(self) -> None:
        """One by one, each confirmed, so that the one that breaks the connection is known by it."""
        again = [each for each in self._recent if time.monotonic() - each[0] < RECENT_SECONDS]
        publisher: ConfirmingPublisher | None = None
        losses = 0
        try:
            for _, reply_to, body in again:
                if reply_to in self._broken or losses == MOST_LOSSES:
                    self._dropped("address")
                    continue
                publisher = publisher or ConfirmingPublisher(self._connect())
                try:
                    # RabbitMQ 3.10 itself breaks over a mandatory one to any direct reply-to.
                    publisher.publish("", reply_to, body, mandatory=False)
                except NotTaken:
                    self._dropped("broker")
                    continue
                except BrokerUnavailable:
                    if not publisher.broke_the_broker:
                        raise
                    self._dropped("address")
                    self._is_broken(reply_to)
                    losses += 1
                    publisher.close()
                    publisher = None
        finally:
            self._recent.clear()
            if publisher is not None:
                publisher.close()

    def _is_broken(self, reply_to: str) -> None:
        if len(self._broken) >= KNOWN:
            self._broken.clear()
        self._broken.add(reply_to)
        structlog.get_logger().warning("answer dropped", why="its reply-to breaks the broker's connection", to=reply_to)

    def _refused(self, error: BaseException) -> None:
        if isinstance(error, pika.exceptions.ChannelClosedByBroker):
            # Without replies every POST waits in vain and is answered 202, and nothing else would tell.
            remedy = "grant write permission on the default exchange, amq.default, as `chef-ingest doctor` says"
            self._say("replies refused", error.reply_text, remedy)

    def _say(self, event: str, why: str, about: str) -> None:
        """Once: a flood of one cause is no flood."""
        if event not in self._said:
            self._said.add(event)
            structlog.get_logger().error(event, why=why, remedy=about)
