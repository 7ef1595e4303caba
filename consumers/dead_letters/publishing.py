"""Publishes letters to where they came from: mandatory, confirmed, bytes unchanged."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from typing import Any

import pika
import pika.exceptions

from consumers.broker.connection import connect
from consumers.broker.properties import DEATH_HEADERS, restored, sendable
from consumers.dead_letters.errors import NotTaken
from consumers.errors import BrokerUnavailable
from schemas.message import (
    HEADER_LETTER,
    HEADER_ORIGIN_EXCHANGE,
    HEADER_ORIGIN_ROUTING_KEY,
    HEADER_REPLAY,
    HEADER_RETRIES,
)

_OURS = (HEADER_LETTER, HEADER_REPLAY, HEADER_RETRIES, HEADER_ORIGIN_EXCHANGE, HEADER_ORIGIN_ROUTING_KEY)
_KEPT = ("content_type", "message_id", "timestamp", "type", "app_id", "priority")
"""Not: who waited for the answer, when it was to expire, and as whom it was published (the broker checks that)."""


class Publisher:
    """One connection and one confirming channel. Use as a context manager.

    Raises BrokerUnavailable or Misconfigured when it can't connect.
    """

    def __init__(self, amqp_url: str, *, heartbeat: int) -> None:
        self._connection = connect(amqp_url, heartbeat=heartbeat, name="chef-ingest dead")
        self._channel = self._open()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(pika.exceptions.AMQPError, OSError):
            self._connection.close()

    def publish(self, exchange: str, routing_key: str, payload: bytes, properties: pika.BasicProperties) -> None:
        """Returns once the broker has confirmed it. Raises NotTaken, or BrokerUnavailable: then it is not known."""
        where = f"exchange {exchange!r}, routing key {routing_key!r}"
        try:
            self._channel.basic_publish(exchange, routing_key, payload, properties, mandatory=True)
        except pika.exceptions.UnroutableError:
            raise NotTaken(f"{where}: no queue is bound; run `chef-ingest topology declare`") from None
        except pika.exceptions.NackError:
            raise NotTaken(f"{where}: the broker refused it; is the queue full?") from None
        except pika.exceptions.ChannelClosedByBroker as error:
            self._channel = self._open()
            raise NotTaken(f"{where}: {error.reply_text}") from None
        except (
            struct.error,
            pika.exceptions.UnsupportedAMQPFieldException,
            pika.exceptions.ShortStringTooLong,
        ) as error:
            raise NotTaken(f"{where}: its properties can't be sent: {error!r}") from None
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def wait(self, seconds: float) -> None:
        """Let time pass; heartbeats go on."""
        try:
            self._connection.process_data_events(seconds)
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error

    def _open(self) -> Any:
        try:
            channel = self._connection.channel()
            channel.confirm_delivery()
        except (pika.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailable(f"lost RabbitMQ: {error!r}") from error
        return channel


def properties_of(
    stored: Mapping[str, Any], content_encoding: str | None, extra: Mapping[str, Any]
) -> pika.BasicProperties:
    """AMQP properties from a letter's, without what belonged to its first journey; `extra` headers are added."""
    headers = restored(stored.get("headers") or {})
    kept = {name: value for name, value in headers.items() if not name.startswith(DEATH_HEADERS) and name not in _OURS}
    facts = {name: restored(stored[name]) for name in _KEPT if name in stored}
    return pika.BasicProperties(
        content_encoding=content_encoding, delivery_mode=2, headers={**sendable(kept), **extra} or None, **facts
    )
