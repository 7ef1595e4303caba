"""Publishes messages and tells what became of each: a verdict, queued or refused, and never late."""

from __future__ import annotations

import asyncio
import json
import math
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import msgspec
import pika
import pika.exceptions
import structlog
from pika.spec import BasicProperties

from consumers.broker.publisher import told_largest
from ingest.http.outcome import QUEUED, Outcome, Refusal, Refused
from ingest.publisher.connection import REPLY_TO, BrokerConnection, Owner
from ingest.publisher.nacks import Nacks
from schemas.doors import IMPLIED
from schemas.kinds import WAITING
from schemas.message import ANSWER_SECONDS, HEADER_ANSWER_BY, HEADER_DOOR, Message
from schemas.topology import ROUTING_KEYS
from schemas.verdict import from_wire

APP_ID: Final = "chef-ingest"

_BACKOFF_SECONDS: Final = (0.1, 5.0)
_SETTLED_SECONDS: Final = 5.0
"""A connection that lived this long was a good one: the next loss starts the backoff afresh."""
_BLOCKED_GRACE_SECONDS: Final = 0.5
"""What was under way when an alarm came up is confirmed within this, or not before the alarm is over."""
_UNCONFIRMED_BYTES: Final = 64 * 1024 * 1024
"""Bodies that may wait for a broker that reads slowly; they stay in memory until it does."""
_CLOCK_GRAIN: Final = 0.002
"""Timers fire a little early on a loop that counts in milliseconds."""


@dataclass(slots=True)
class _Pending:
    outcome: asyncio.Future[Outcome]
    confirm_by: float
    wait_until: float
    since: float
    confirmed: bool = False
    ephemeral: bool = False
    drained: bool = False
    kind: str = ""
    door: str = ""
    timer: asyncio.TimerHandle | None = None


class Publisher:
    """One connection to the broker, on the running loop, reconnected for ever.

    `confirm_seconds` bounds how long the broker may take to confirm, `max_outstanding` how many
    messages are under way at once; beyond either, publishing is refused. `max_message_bytes` is the broker's own limit
    of a message, where that is not what its version has by default. `observe` is told what became of
    each publish, pings left out: its door's word, `confirmed` (or `drained`, where a spool had it), `refused` or a
    Refusal's value, the seconds it took.
    """

    def __init__(
        self,
        hosts: Callable[[], list[pika.URLParameters]],
        *,
        confirm_seconds: float,
        max_outstanding: int,
        max_message_bytes: int = 0,
        now: Callable[[], float] = time.time,
        connect: Callable[[list[pika.URLParameters], Owner], BrokerConnection] = BrokerConnection,
        observe: Callable[[str, str, float], None] = lambda *_: None,
    ) -> None:
        self._hosts = hosts
        self._confirm_seconds = confirm_seconds
        self._max_outstanding = max_outstanding
        self._max_message_bytes = max_message_bytes
        self.message_bytes: float = max_message_bytes or math.inf
        """How large a message the broker takes, as far as it is known: a larger one would cost all the connection."""
        self._now = now
        self._open_connection = connect
        self._observe = observe
        self._log = structlog.get_logger("ingest.publisher.publisher")
        self._pending: dict[str, _Pending] = {}
        prefix = secrets.token_hex(3)
        self._ids = (f"{prefix}-{number:x}" for number in count(1))
        self._nacks = Nacks()
        self._connection: BrokerConnection | None = None
        self._connecting: BrokerConnection | None = None
        self._blocked = False
        self._attempt = 0
        self._up_since = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin connecting; publishing is refused until that has succeeded."""
        self._loop = asyncio.get_running_loop()
        self._connect()

    async def close(self) -> None:
        """Close the connection; whatever is still outstanding is answered first."""
        self._closed = self._loop.create_future()
        self._drop_all()
        if self._retry is not None:
            self._retry.cancel()
        connection = self._connection or self._connecting
        if connection is not None:
            connection.close()
            await asyncio.wait([self._closed], timeout=2.0)

    def refusal(self) -> Refusal | None:
        """Why a publish would be refused now; None: it would be tried."""
        connection = self._connection
        if connection is None:
            return Refusal.NOT_CONNECTED
        if self._blocked:
            return Refusal.BLOCKED
        if connection.unconfirmed_bytes >= _UNCONFIRMED_BYTES or connection.unconfirmed >= self._max_outstanding:
            return Refusal.UNCONFIRMED
        return Refusal.OVERLOADED if len(self._pending) >= self._max_outstanding else None

    @property
    def outstanding(self) -> int:
        """Messages that are under way."""
        return len(self._pending)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    @property
    def blocked_by_broker(self) -> bool:
        """An alarm of the broker forbids publishing."""
        return self._blocked

    def publish(
        self,
        message: Message,
        *,
        wait: float,
        confirm: float = math.inf,
        ephemeral: bool = False,
        traceparent: str | None = None,
        received: int | None = None,
    ) -> tuple[str, asyncio.Future[Outcome]]:
        """Send a message, mandatory and persistent; gives its correlation id and what will become of it.

        `wait` is how many seconds a verdict may take before the outcome is Queued; 0 asks for no
        verdict. `confirm` is how many the broker may take, where that is less than everywhere.
        `ephemeral` is for pings: neither persistent nor worth more than 5 s.
        `traceparent` travels with the message, for whoever traces it further. `received` is the UNIX time at which it
        came, in seconds, where that is not now: a spool had it.
        The future never raises, and is done within the confirm timeout and the wait.
        """
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        correlation_id = next(self._ids)
        refusal = self.refusal()
        if refusal is None and not self._fits(message):
            # Who sent it is for people to know, and costs no message its way.
            message = msgspec.structs.replace(message, sender=None)
            refusal = None if self._fits(message) else Refusal.TOO_LONG
        if refusal is None and len(message.payload) > self.message_bytes:
            refusal = Refusal.TOO_LARGE
        if refusal is None and not self._send(correlation_id, message, wait, ephemeral, traceparent, received):
            refusal = Refusal.NOT_CONNECTED
        if refusal is not None:
            if not ephemeral:
                self._observe(message.door, "refused", 0.0)
            outcome.set_result(Refused(refusal))
            return correlation_id, outcome
        now = self._loop.time()
        by, until = now + min(confirm, self._confirm_seconds), now + wait
        pending = _Pending(outcome, by, until, now, ephemeral=ephemeral, kind=message.kind, door=message.door)
        pending.drained = received is not None
        self._pending[correlation_id] = pending
        self._set_timer(correlation_id, pending)
        return correlation_id, outcome

    def _fits(self, message: Message) -> bool:
        """Whether the names in the envelope fit into one frame, which would cost everybody the connection."""
        assert self._connection is not None
        return sum(len(str(value).encode()) for value in message.headers().values()) <= self._connection.name_bytes

    def _send(
        self,
        correlation_id: str,
        message: Message,
        wait: float,
        ephemeral: bool,
        traceparent: str | None,
        received: int | None,
    ) -> bool:
        headers: dict[str, Any] = {**message.headers()}
        if message.door != IMPLIED:
            headers[HEADER_DOOR] = message.door
        if wait and (wait < ANSWER_SECONDS or message.kind in WAITING):
            headers[HEADER_ANSWER_BY] = math.ceil(self._now() + wait)
        if traceparent is not None:
            headers["traceparent"] = traceparent
        properties = BasicProperties(
            type=message.kind,
            content_encoding=message.content_encoding,
            correlation_id=correlation_id,
            reply_to=REPLY_TO if wait else None,
            timestamp=int(self._now()) if received is None else received,
            app_id=APP_ID,
            headers=headers or None,
            delivery_mode=1 if ephemeral else 2,
            expiration="5000" if ephemeral else None,
        )
        assert self._connection is not None
        try:
            self._connection.publish(correlation_id, ROUTING_KEYS[message.kind], message.payload, properties)
        except pika.exceptions.AMQPError:
            # The connection is closing under us; it will say so itself in a moment.
            return False
        return True

    def _set_timer(self, correlation_id: str, pending: _Pending) -> None:
        due = pending.wait_until
        if not pending.confirmed and (due > pending.confirm_by or due <= self._loop.time()):
            due = pending.confirm_by
        pending.timer = self._loop.call_at(due, self._on_timer, correlation_id)

    def _on_timer(self, correlation_id: str) -> None:
        pending = self._pending[correlation_id]
        now = self._loop.time() + _CLOCK_GRAIN
        if pending.confirmed and now >= pending.wait_until:
            self._resolve(correlation_id, QUEUED)
        elif not pending.confirmed and now >= pending.confirm_by:
            self._resolve(correlation_id, Refused(Refusal.UNCONFIRMED))
        else:
            self._set_timer(correlation_id, pending)

    def _resolve(self, correlation_id: str, outcome: Outcome) -> None:
        pending = self._pending.pop(correlation_id, None)
        if pending is None:
            return
        if pending.timer is not None:
            pending.timer.cancel()
        # A verdict may be faster than the confirm; it says the same.
        if isinstance(outcome, Refused):
            self._seen(pending, outcome.refusal.value)
        elif not pending.confirmed:
            self._seen_confirmed(pending)
        if not pending.outcome.done():
            pending.outcome.set_result(outcome)

    def _seen_confirmed(self, pending: _Pending) -> None:
        self._seen(pending, "drained" if pending.drained else "confirmed")

    def _seen(self, pending: _Pending, result: str) -> None:
        if not pending.ephemeral:
            self._observe(pending.door, result, self._loop.time() - pending.since)

    def _drop_all(self) -> None:
        """Nothing more will be heard of what is outstanding: the confirmed is queued, the rest is refused."""
        for correlation_id, pending in list(self._pending.items()):
            lost = Refused(Refusal.CONNECTION_LOST)
            self._resolve(correlation_id, QUEUED if pending.confirmed else lost)

    def _connect(self) -> None:
        self._retry = None
        self._connecting = self._open_connection(self._hosts(), self)

    # What the connection tells us.

    def connection_up(self, connection: BrokerConnection) -> None:
        self._connection, self._connecting, self._blocked = connection, None, False
        self.message_bytes = self._max_message_bytes or connection.message_bytes
        self._up_since = self._loop.time()
        self._log.info("broker_connected")

    def connection_down(self, connection: BrokerConnection, why: str) -> None:
        if told := told_largest(why):
            # It has cost all that was under way the connection: once is enough.
            self._max_message_bytes = told
        if connection is self._connection and self._loop.time() - self._up_since > _SETTLED_SECONDS:
            self._attempt = 0
        self._connection = self._connecting = None
        self._drop_all()
        if self._closed is not None:
            if not self._closed.done():
                self._closed.set_result(None)
            return
        first, most = _BACKOFF_SECONDS
        delay = random.uniform(0.5, 1.0) * min(most, first * 2.0 ** min(self._attempt, 16))
        self._attempt += 1
        self._log.warning("broker_disconnected", why=why, retry_in=round(delay, 2), attempt=self._attempt)
        self._retry = self._loop.call_later(delay, self._connect)

    def blocked(self, connection: BrokerConnection, why: str | None) -> None:
        self._blocked = why is not None
        if why is None:
            self._log.info("broker_unblocked")
            return
        self._log.warning("broker_blocked", why=why, remedy="free memory or disk on the broker")
        self._loop.call_later(_BLOCKED_GRACE_SECONDS, self._refuse_blocked, connection)

    def _refuse_blocked(self, connection: BrokerConnection) -> None:
        if not self._blocked or connection is not self._connection:
            return
        for correlation_id, pending in list(self._pending.items()):
            if not pending.confirmed:
                self._resolve(correlation_id, Refused(Refusal.BLOCKED))

    def settled(self, correlation_id: str, confirmed: bool) -> None:
        pending = self._pending.get(correlation_id)
        if pending is None:
            return
        if not confirmed:
            self._resolve(correlation_id, Refused(Refusal.NACKED))
            if self._connection is not None and self._nacks.nacked(pending.kind, self._loop.time()):
                self._log.warning("broker_nacks", kind=pending.kind, remedy="look whether the queue is full")
                self._connection.close()
            return
        self._nacks.confirmed(pending.kind)
        if not pending.confirmed:
            self._seen_confirmed(pending)
        pending.confirmed = True
        if self._loop.time() + _CLOCK_GRAIN >= pending.wait_until:
            self._resolve(correlation_id, QUEUED)

    def returned(self, correlation_id: str) -> None:
        self._log.warning(
            "publish_returned", correlation_id=correlation_id, remedy="run `chef-ingest topology declare`"
        )
        self._resolve(correlation_id, Refused(Refusal.UNROUTABLE))

    def replied(self, body: bytes) -> None:
        """A worker's verdicts, a JSON list of [correlation id, verdict]; ids nobody waits for are ignored."""
        try:
            verdicts: list[tuple[str, Any]] = json.loads(body)
            for correlation_id, wire in verdicts:
                if correlation_id in self._pending:
                    self._resolve(correlation_id, from_wire(wire))
                elif wire.get("told"):
                    remedy = "see that the clocks of shims and workers agree"
                    self._log.error("told_too_late", correlation_id=correlation_id, why=wire["told"], remedy=remedy)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._log.error("reply_unreadable", error=repr(error), bytes=len(body))
