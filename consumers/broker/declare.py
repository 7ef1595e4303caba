"""Puts the topology on a broker, idempotently, and says which argument differs when it can't."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.errors import BrokerUnavailable, Misconfigured
from schemas.topology import TOPOLOGY, Binding, Topology

ChannelCall = Callable[[BlockingChannel], Any]

NOT_FOUND, REFUSED, DIFFERENT = 404, 403, 406
_REMEDY = {
    REFUSED: "grant the user configure, write and read permission on the vhost",
    DIFFERENT: "it exists with other arguments; delete it when it is empty, or use another vhost",
}


class Thing(NamedTuple):
    """An exchange or a queue: how it is looked at, and how it is declared."""

    what: str
    name: str
    look: ChannelCall
    make: ChannelCall
    older: ChannelCall | None = None
    """Declares it as an earlier version did, where that differs."""

    def __str__(self) -> str:
        return f"{self.what} {self.name!r}"


def declare(connection: BlockingConnection, topology: Topology = TOPOLOGY) -> list[str]:
    """Declare every exchange, queue and binding that is missing.

    An account without the right to declare may find all there: then what it could not compare or bind is returned.
    Raises Misconfigured, with the broker's words and the remedy, where waiting won't help; else BrokerUnavailable.
    """
    unsure: list[str] = []
    for thing in things(topology):
        # Who was refused once is not refused again: each time is an error in the broker's log.
        if not _ensured(connection, thing, compare=not unsure):
            unsure.append(str(thing))
    unsure += [name for name, bind in _bindings(topology) if not _made(connection, name, bind, refusable=True)]
    return unsure


def things(topology: Topology = TOPOLOGY) -> Iterator[Thing]:
    """Every exchange and queue."""
    for exchange in topology.exchanges:
        yield Thing(
            "exchange",
            exchange.name,
            lambda channel, e=exchange: channel.exchange_declare(e.name, passive=True),  # type: ignore[misc]
            lambda channel, e=exchange: channel.exchange_declare(e.name, e.type, durable=True),  # type: ignore[misc]
        )
    for queue in topology.queues:
        yield Thing(
            "queue",
            queue.name,
            lambda channel, q=queue: channel.queue_declare(q.name, passive=True),  # type: ignore[misc]
            _queue(queue.name, queue.arguments),
            _queue(queue.name, queue.older_arguments) if queue.newer else None,
        )


def _queue(name: str, arguments: Mapping[str, Any]) -> ChannelCall:
    return lambda channel: channel.queue_declare(name, durable=True, arguments=dict(arguments))


def refusal(connection: BlockingConnection, step: ChannelCall) -> tuple[int, str] | None:
    """The broker's code and words for not doing something, on a channel of its own; None: it is done."""
    channel = connection.channel()
    try:
        step(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        return error.reply_code, error.reply_text
    channel.close()
    return None


def _ensured(connection: BlockingConnection, thing: Thing, *, compare: bool) -> bool:
    """There, and (with `compare`) as it should be; False when that could not be seen."""
    missing = _tried(connection, str(thing), thing.look)
    if missing is None:
        # To declare again what is there with what it has changes nothing; the broker compares for us.
        return compare and _made(connection, str(thing), thing.make, refusable=True, older=thing.older)
    if missing[0] != NOT_FOUND:
        raise _fault(str(thing), *missing)
    return _made(connection, str(thing), thing.make, refusable=False)


def _made(
    connection: BlockingConnection, name: str, make: ChannelCall, *, refusable: bool, older: ChannelCall | None = None
) -> bool:
    refused = _tried(connection, name, make)
    if older is not None and refused is not None and refused[0] == DIFFERENT and not _tried(connection, name, older):
        return True
    if refused is not None and not (refusable and refused[0] == REFUSED):
        raise _fault(name, *refused)
    return refused is None


def _tried(connection: BlockingConnection, name: str, step: ChannelCall) -> tuple[int, str] | None:
    try:
        return refusal(connection, step)
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"{name} was not declared, lost RabbitMQ: {error!r}") from error


def _fault(name: str, code: int, text: str) -> Misconfigured | BrokerUnavailable:
    # Anything else passes: a queue that somebody deletes meanwhile, a cluster without its majority.
    if code not in _REMEDY:
        return BrokerUnavailable(f"{name}: {text}")
    return Misconfigured(f"{name}: {text} ({_REMEDY[code]})")


def _bindings(topology: Topology) -> Iterator[tuple[str, ChannelCall]]:
    def bind(binding: Binding) -> ChannelCall:
        return lambda channel: channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)

    for binding in topology.bindings:
        yield f"binding {binding.exchange!r} -> {binding.queue!r}", bind(binding)
