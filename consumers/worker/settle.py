"""Tells the broker what became of deliveries: every `basic_ack` is here."""

from __future__ import annotations

from collections.abc import Iterable

import pika.exceptions

from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from consumers.worker.source import Source


def acknowledge(source: Source, deliveries: Iterable[Delivery], *, whole_prefix: bool) -> None:
    """Ack deliveries that are committed, or confirmed elsewhere. Those of an older channel are left: the
    broker has them back already.

    `whole_prefix`: nothing older on this channel is still in hand, so one `multiple` ack says it all.
    """
    tags = [each.tag for each in deliveries if each.generation == source.generation]
    if not tags:
        return
    try:
        if whole_prefix:
            source.channel.basic_ack(max(tags), multiple=True)
        else:
            for tag in tags:
                source.channel.basic_ack(tag)
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
