"""Looks at a broker as the doctor does: version, permissions, topology, dead-letter route, alarms. Changes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingConnection

from consumers.broker.connection import connect
from consumers.broker.frames import server_properties
from consumers.broker.queues import counts
from consumers.errors import BrokerUnavailable, Misconfigured
from ingest.diagnostics.finding import Finding
from schemas.settings import Settings
from schemas.topology import DEAD, INGEST_EXCHANGE, QUARANTINE, TOPOLOGY, Queue

OLDEST: Final = (3, 10)
ALARM_SECONDS: Final = 1.0
_DECLARE: Final = "chef-ingest topology declare"


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Every finding about the broker and our vhost."""
    try:
        connection = connect(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest doctor")
    except (BrokerUnavailable, Misconfigured) as error:
        yield Finding("broker", "broken", str(error), "start RabbitMQ, or correct AMQP_URL")
        return
    try:
        yield _version(connection)
        refused = _refused(connection)
        yield from map(_missing, refused)
        if not refused:
            yield Finding("topology", "ok", "every exchange and queue is there")
        absent = {each.name for each in refused if each.what == "queue"}
        present = [queue for queue in TOPOLOGY.queues if queue.name not in absent]
        yield from _arguments(connection, present)
        yield from _queues(connection, present)
        alarm = _alarm(connection)
        yield alarm
        # The broker does not read from whom it blocks: a goodbye would wait for an answer that does not come.
        if alarm.level == "ok":
            connection.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        yield Finding("broker", "broken", f"the connection broke: {error!r}", "see the broker's log, and try again")


def _version(connection: BlockingConnection) -> Finding:
    properties = server_properties(connection)
    product, version = str(properties.get("product", "unknown")), str(properties.get("version", "0"))
    found = tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])
    words = f"{product} {version}"
    if product != "RabbitMQ" or found < OLDEST:
        return Finding("broker version", "broken", words, "RabbitMQ 3.10 or later is needed, for quorum queues")
    return Finding("broker version", "ok", words)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An exchange or a queue that we may not see, or that is not there, and the broker's words for it."""

    what: str
    name: str
    code: int
    text: str


def _refused(connection: BlockingConnection) -> list[_Refusal]:
    return [
        *(each for exchange in TOPOLOGY.exchanges for each in _refusal(connection, "exchange", exchange.name)),
        *(each for queue in TOPOLOGY.queues for each in _refusal(connection, "queue", queue.name)),
    ]


def _refusal(connection: BlockingConnection, what: str, name: str) -> Iterator[_Refusal]:
    channel = connection.channel()
    try:
        if what == "exchange":
            channel.exchange_declare(name, passive=True)
        else:
            channel.queue_declare(name, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        yield _Refusal(what, name, error.reply_code, error.reply_text)
    else:
        channel.close()


def _missing(refusal: _Refusal) -> Finding:
    if refusal.code == 403:
        return Finding("permission", "broken", f"{refusal.what} {refusal.name}: {refusal.text}", _grant())
    return Finding("topology", "broken", f"{refusal.what} {refusal.name} is missing: {refusal.text}", _DECLARE)


def _arguments(connection: BlockingConnection, present: Sequence[Queue]) -> Iterator[Finding]:
    differing = [each for queue in present for each in _argument(connection, queue)]
    yield from differing
    if not differing:
        yield Finding("queue arguments", "ok", "as declared")


def _argument(connection: BlockingConnection, queue: Queue) -> Iterator[Finding]:
    # Declaring again what is there with what it has changes nothing; the broker compares for us. What is
    # missing is not declared: a doctor looks.
    channel = connection.channel()
    try:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    except pika.exceptions.ChannelClosedByBroker as error:
        remedy = _grant() if error.reply_code == 403 else "let it run empty, delete it, then " + _DECLARE
        yield Finding("queue arguments", "broken", f"{queue.name}: {error.reply_text}", remedy)
    else:
        channel.close()


def _queues(connection: BlockingConnection, present: Sequence[Queue]) -> Iterator[Finding]:
    for queue in present:
        channel = connection.channel()
        ready, consumers = counts(channel, queue.name)
        channel.close()
        if queue.name in (DEAD, QUARANTINE) and ready:
            text = f"{ready} messages in {queue.name}"
            remedy = "start `chef-ingest consume`; it takes them in"
            if consumers:
                remedy = "a consumer has them: see `chef-ingest status` for what holds it up"
            yield Finding("dead-letter route", "warning", text, remedy)
        elif ready and not consumers and queue.name not in (DEAD, QUARANTINE) and "delay" not in queue.name:
            text = f"{queue.name}: {ready} messages and no consumer"
            yield Finding("consumers", "warning", text, "start `chef-ingest consume`")


def _alarm(connection: BlockingConnection) -> Finding:
    """The broker says nothing of an alarm before one publishes; a ping nobody needs is published for that."""
    why: list[str] = []
    connection.add_on_connection_blocked_callback(lambda _, frame: why.append(str(frame.method.reason)))
    channel = connection.channel()
    ping = pika.BasicProperties(type="ping", expiration="1000", delivery_mode=1)
    channel.basic_publish(INGEST_EXCHANGE, "ping", b"{}", ping)
    deadline = time.monotonic() + ALARM_SECONDS
    while not why and time.monotonic() < deadline:
        connection.process_data_events(0.1)
    if why:
        remedy = "free memory or disk on the broker; until then every POST is answered 503"
        return Finding("alarms", "broken", f"the broker blocks publishers: {why[0]}", remedy)
    if channel.is_closed:
        remedy = f"{_DECLARE}; {_grant()}"
        return Finding("permission", "broken", f"publishing to {INGEST_EXCHANGE!r} closed the channel", remedy)
    return Finding("alarms", "ok", "publishing is not blocked")


def _grant() -> str:
    return "rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'"
