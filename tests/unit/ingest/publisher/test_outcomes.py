"""What the publisher makes of the events of a connection, in every order that they can come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pika.spec import BasicProperties

from ingest.http.outcome import QUEUED, Outcome, Refusal, Refused
from ingest.publisher.connection import Owner
from ingest.publisher.publisher import Publisher
from schemas.message import HEADER_SENDER, Message
from schemas.verdict import Created, to_wire

ACTION = "action"
RUN_END = "run_end"
RUN_START = "run_start"

CREATED = Created("/actions/x")
ACTION_MESSAGE = Message(ACTION, b"{}", "http")


class Wire:
    """Stands where a connection stands: notes what is published; the test tells the owner the rest."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.sent: list[tuple[str, str, bytes, BasicProperties]] = []
        self.unconfirmed = 0
        self.unconfirmed_bytes = 0
        self.name_bytes = 3072
        self.message_bytes = 4096

    def publish(self, correlation_id: str, key: str, body: bytes, properties: BasicProperties) -> None:
        self.sent.append((correlation_id, key, body, properties))

    def close(self) -> None:
        self.owner.connection_down(self, "closed")  # type: ignore[arg-type]


class PublisherOnWires:
    """A publisher whose connections are Wires."""

    def __init__(self, **options: Any) -> None:
        self.wires: list[Wire] = []
        options = {"confirm_seconds": 0.05, "max_outstanding": 3} | options
        self.publisher = Publisher(list, connect=self._connect, **options)
        self.publisher.start()

    def _connect(self, _: object, owner: Owner) -> Any:
        self.wires.append(Wire(owner))
        return self.wires[-1]

    def up(self) -> Wire:
        self.publisher.connection_up(self.wires[-1])  # type: ignore[arg-type]
        return self.wires[-1]

    def reply(self, *correlation_ids: str) -> None:
        self.publisher.replied(json.dumps([[each, to_wire(CREATED)] for each in correlation_ids]).encode())


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_verdict_before_confirm() -> None:
    """A verdict that overtakes the confirm is the outcome."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=5)
        held.reply(correlation_id)
        held.publisher.settled(correlation_id, confirmed=True)
        assert await outcome == CREATED

    run(scenario)


def test_what_a_spool_had_keeps_the_time_at_which_it_came() -> None:
    """Its timestamp is when it came, not now; it is told of as drained, and so not acknowledged a second time."""
    seen: list[tuple[str, str]] = []

    async def scenario() -> None:
        held = PublisherOnWires(now=lambda: 2000.5, observe=lambda door, result, _: seen.append((door, result)))
        wire = held.up()
        message = Message(ACTION, b"{}", "collector")
        for received in (None, 1000):
            correlation_id, outcome = held.publisher.publish(message, wait=0, received=received)
            held.publisher.settled(correlation_id, confirmed=True)
            assert await outcome == QUEUED
        _, refused = held.publisher.publish(message, wait=0, received=1000)
        assert await refused == Refused(Refusal.UNCONFIRMED)
        assert [properties.timestamp for *_, properties in wire.sent] == [2000, 1000, 1000]

    run(scenario)
    assert seen == [("collector", "confirmed"), ("collector", "drained"), ("collector", "unconfirmed")]


def test_confirm_then_verdict() -> None:
    """A verdict within the wait is the outcome, however long after the confirm timeout."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=0.01)
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=5)
        held.publisher.settled(correlation_id, confirmed=True)
        await asyncio.sleep(0.05)
        assert not outcome.done()
        held.reply(correlation_id)
        assert await outcome == CREATED

    run(scenario)


def test_confirmed_without_verdict() -> None:
    """A confirmed message whose verdict is not in within the wait is queued."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=0.02)
        held.publisher.settled(correlation_id, confirmed=True)
        assert await outcome == QUEUED

    run(scenario)


def test_confirm_after_the_wait() -> None:
    """The end of the wait alone makes nothing queued: the confirm does, later."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=5)
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=0.01)
        await asyncio.sleep(0.05)
        assert not outcome.done()
        held.publisher.settled(correlation_id, confirmed=True)
        assert await outcome == QUEUED

    run(scenario)


@pytest.mark.parametrize("wait", [0, 0.01, 5])
def test_never_confirmed(wait: float) -> None:
    """A message not confirmed in time is refused, whatever the wait, and never queued."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.up()
        _, outcome = held.publisher.publish(ACTION_MESSAGE, wait=wait)
        assert await outcome == Refused(Refusal.UNCONFIRMED)

    run(scenario)


def test_who_cannot_wait_is_not_kept_by_the_broker() -> None:
    """A message may give the broker less time than the others have: it is refused then, and theirs go on."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=3600.0)
        wire = held.up()
        _, other = held.publisher.publish(ACTION_MESSAGE, wait=0)
        _, outcome = held.publisher.publish(ACTION_MESSAGE, wait=3600, confirm=0.01)
        assert await outcome == Refused(Refusal.UNCONFIRMED)
        held.publisher.settled(wire.sent[0][0], True)
        assert await other is QUEUED

    run(scenario)


def test_respond_async() -> None:
    """Without a wait no reply is asked for, and the confirm alone is the outcome."""

    async def scenario() -> None:
        held = PublisherOnWires()
        wire = held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=0)
        assert wire.sent[0][3].reply_to is None
        held.publisher.settled(correlation_id, confirmed=True)
        assert await outcome == QUEUED

    run(scenario)


def test_returned() -> None:
    """A returned message is refused, though the broker confirms it right after."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=0)
        held.publisher.returned(correlation_id)
        held.publisher.settled(correlation_id, confirmed=True)
        assert await outcome == Refused(Refusal.UNROUTABLE)

    run(scenario)


def test_nacked() -> None:
    """A nack is a refusal."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=5)
        held.publisher.settled(correlation_id, confirmed=False)
        assert await outcome == Refused(Refusal.NACKED)

    run(scenario)


def test_loss() -> None:
    """When the connection breaks, what was confirmed is queued and the rest is refused, both at once."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=60)
        wire = held.up()
        first, kept = held.publisher.publish(ACTION_MESSAGE, wait=60)
        _, lost = held.publisher.publish(ACTION_MESSAGE, wait=60)
        held.publisher.settled(first, confirmed=True)
        held.publisher.connection_down(wire, "cut")  # type: ignore[arg-type]
        assert await kept == QUEUED
        assert await lost == Refused(Refusal.CONNECTION_LOST)
        assert held.publisher.refusal() is Refusal.NOT_CONNECTED

    run(scenario)


def test_reconnects() -> None:
    """After a loss another connection is opened, by itself, and publishing goes on."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.publisher.connection_down(held.wires[0], "no answer")  # type: ignore[arg-type]
        while len(held.wires) < 2:
            await asyncio.sleep(0.01)
        wire = held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=5)
        assert wire.sent
        held.reply(correlation_id)
        assert await outcome == CREATED

    run(scenario)


def test_refused_until_connected() -> None:
    """Before the first connection every publish is refused at once."""

    async def scenario() -> None:
        _, outcome = PublisherOnWires().publisher.publish(ACTION_MESSAGE, wait=5)
        assert outcome.result() == Refused(Refusal.NOT_CONNECTED)

    run(scenario)


def test_blocked() -> None:
    """Under an alarm new messages are refused at once and unconfirmed ones soon; after it all is well."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=60)
        wire: Any = held.up()
        first, confirmed = held.publisher.publish(ACTION_MESSAGE, wait=60)
        _, unconfirmed = held.publisher.publish(ACTION_MESSAGE, wait=60)
        held.publisher.settled(first, confirmed=True)
        held.publisher.blocked(wire, "low on disk")
        assert held.publisher.publish(ACTION_MESSAGE, wait=5)[1].result() == Refused(Refusal.BLOCKED)
        assert await unconfirmed == Refused(Refusal.BLOCKED)
        assert not confirmed.done()
        held.publisher.blocked(wire, None)
        assert held.publisher.refusal() is None

    run(scenario)


def test_small_frames() -> None:
    """Names that fit into no frame are refused to their sender, and nothing of them reaches the connection."""

    async def scenario() -> None:
        held = PublisherOnWires(max_outstanding=9)
        wire = held.up()
        for node, fits in (("n" * 3072, True), ("n" * 3073, False), ("\u00fc" * 1536, True), ("\u00fc" * 1537, False)):
            sent = len(wire.sent)
            _, outcome = held.publisher.publish(Message(RUN_START, b"{}", "http", None, node), wait=0)
            assert (len(wire.sent) > sent) is fits is not outcome.done()
            if not fits:
                assert outcome.result() == Refused(Refusal.TOO_LONG)
        # Who sent it is the first that is left out.
        for length, told in ((2000, True), (3000, False)):
            message = Message(RUN_START, b"{}", "http", None, "n" * length, sender="s" * 500)
            held.publisher.publish(message, wait=0)
            assert (HEADER_SENDER in wire.sent[-1][3].headers) is told
        assert held.publisher.connected

    run(scenario)


def test_bounded() -> None:
    """No more than max_outstanding messages are under way; one that is answered makes room."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=60)
        held.up()
        first, *_ = (held.publisher.publish(ACTION_MESSAGE, wait=60)[0] for _ in range(3))
        assert held.publisher.publish(ACTION_MESSAGE, wait=60)[1].result() == Refused(Refusal.OVERLOADED)
        held.reply(first)
        assert held.publisher.refusal() is None

    run(scenario)


@pytest.mark.parametrize("backlog", [{"unconfirmed": 3}, {"unconfirmed_bytes": 64 * 1024 * 1024}])
def test_slow_broker(backlog: dict[str, int]) -> None:
    """Messages the broker has not settled count, though their clients have long been answered."""

    async def scenario() -> None:
        held = PublisherOnWires()
        wire = held.up()
        for name, value in backlog.items():
            setattr(wire, name, value)
        assert held.publisher.refusal() is Refusal.UNCONFIRMED

    run(scenario)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"nonsense", b"[1]", b'[["x"]]', b'[["ID", {"code": "?"}]]', b'[["ID", 1]]', b"\xff"]
)
def test_unreadable_reply(body: bytes) -> None:
    """A reply that can't be read harms nobody: the message is queued when its wait is over."""

    async def scenario() -> None:
        held = PublisherOnWires()
        held.up()
        correlation_id, outcome = held.publisher.publish(ACTION_MESSAGE, wait=0.02)
        held.publisher.settled(correlation_id, confirmed=True)
        held.publisher.replied(body.replace(b"ID", correlation_id.encode()))
        assert await outcome == QUEUED

    run(scenario)


def test_replies_find_their_own() -> None:
    """Of one reply for many, each verdict goes to its own message and unknown ones to nobody."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=60)
        held.up()
        first, one = held.publisher.publish(ACTION_MESSAGE, wait=60)
        second, two = held.publisher.publish(ACTION_MESSAGE, wait=60)
        assert first != second
        held.reply("stranger", second)
        assert two.result() == CREATED
        assert not one.done()

    run(scenario)


def test_close_answers_everybody() -> None:
    """Closing leaves no future undone."""

    async def scenario() -> None:
        held = PublisherOnWires(confirm_seconds=60)
        held.up()
        outcomes: list[asyncio.Future[Outcome]] = [held.publisher.publish(ACTION_MESSAGE, wait=60)[1] for _ in range(2)]
        await held.publisher.close()
        assert all(each.done() for each in outcomes)

    run(scenario)


def test_what_is_published() -> None:
    """The body goes out as it came, with the envelope in the properties and nothing invented."""

    async def scenario() -> None:
        held = PublisherOnWires(now=lambda: 1_000_000_000.9)
        wire = held.up()
        body = b"\x1f\x8b\x00 any bytes"
        message = Message(RUN_END, body, "http", "acme", "wéb/1", "r", "gzip")
        correlation_id, _ = held.publisher.publish(message, wait=1)
        sent_id, key, sent, properties = wire.sent[0]
        assert (sent_id, key, sent) == (correlation_id, "run.end", body)
        envelope = {"x-organization": "acme", "x-node": "wéb/1", "x-run-id": "r"}
        assert properties.headers == {**envelope, "x-answer-by": 1_000_000_002}
        assert (properties.type, properties.content_encoding, properties.content_type) == ("run_end", "gzip", None)
        assert (properties.delivery_mode, properties.timestamp) == (2, 1_000_000_000)
        assert (properties.app_id, properties.reply_to) == ("chef-ingest", "amq.rabbitmq.reply-to")
        assert (properties.correlation_id, properties.expiration) == (correlation_id, None)

    run(scenario)


def test_a_door_that_is_not_implied_says_so() -> None:
    """A worker judges by the door that the header names; what became of a publish is told by door."""

    async def scenario() -> None:
        told: list[tuple[str, str]] = []
        held = PublisherOnWires(observe=lambda door, result, _: told.append((door, result)))
        wire = held.up()
        correlation_id, _ = held.publisher.publish(Message(ACTION, b"{}", "side"), wait=5)
        held.publisher.settled(correlation_id, confirmed=True)
        assert wire.sent[0][3].headers == {"x-door": "side"}
        held.publisher.connection_down(wire, "over")
        held.publisher.publish(ACTION_MESSAGE, wait=1)
        assert told == [("side", "confirmed"), ("http", "refused")]

    run(scenario)


@pytest.mark.parametrize(("told", "limit"), [(0, 4096), (100, 100), (8192, 8192)])
def test_what_the_broker_takes_no_message_of_is_refused_before_it_is_sent(told: int, limit: int) -> None:
    """By the broker's own limit, or by what was said of it: sent, it would cost everybody else the connection."""

    async def scenario() -> None:
        held = PublisherOnWires(max_message_bytes=told)
        wire = held.up()
        _, outcome = held.publisher.publish(Message(ACTION, b"x" * (limit + 1), "http"), wait=5)
        assert (outcome.result(), wire.sent) == (Refused(Refusal.TOO_LARGE), [])
        correlation_id, taken = held.publisher.publish(Message(ACTION, b"x" * limit, "http"), wait=5)
        held.reply(correlation_id)
        assert await taken == CREATED

    run(scenario)


@pytest.mark.parametrize("words", ["is larger than configured max size 2999", "is larger than max size 2999"])
def test_a_limit_that_the_broker_told_is_kept_to(words: str) -> None:
    """A limit that somebody has set costs the connection once, whatever the broker's version says."""

    async def scenario() -> None:
        held = PublisherOnWires()
        wire = held.up()
        why = f"ChannelClosedByBroker: (406, 'PRECONDITION_FAILED - message size 3000 {words}')"
        held.publisher.connection_down(wire, why)  # type: ignore[arg-type]
        held.publisher._connect()
        held.up()
        _, outcome = held.publisher.publish(Message(ACTION, b"x" * 3000, "http"), wait=5)
        assert outcome.result() == Refused(Refusal.TOO_LARGE)

    run(scenario)
