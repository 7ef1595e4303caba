"""Tells the broker what became of deliveries: every `basic_ack` is here."""

from __future__ import annotations

from collections.abc import Sequence

import pika.exceptions
from pika.channel import Channel

from consumers.errors import BrokerUnavailable


def acknowledge(channel: Channel, tags: Sequence[int], *, whole_prefix: bool) -> None:
    """Ack deliveries of this channel, by their tags, that are committed, or confirmed elsewhere.

    `whole_prefix`: nothing older is still in hand, so one `multiple` ack says it all. Raises BrokerUnavailable.
    """
    if not tags:
        return
    try:
        if whole_prefix:
            channel.basic_ack(max(tags), multiple=True)
        else:
            for tag in tags:
                channel.basic_ack(tag)
    except (pika.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
