"""Reads why the broker itself gave a message up, from the headers it leaves on the way to the dead letter queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.verdict import Invalid

_TEXTS: Final = {
    "delivery_limit": "its worker died each time it was handled; {queue} gave it up after {count} deliveries",
    "maxlen": "a good message: {queue} was full (length limit) and dropped it; replay it",
    "expired": "a good message: it waited in {queue} longer than the queue keeps messages; replay it",
    "rejected": "a consumer of {queue} rejected it",
}


def broker_death(headers: Mapping[str, Any]) -> Invalid:
    """The verdict for a message off `ingest.dead`: it is kept with the broker's reason, never judged on the way.

    Source: RabbitMQ's `x-death` header, newest death first.
    """
    deaths = _deaths(headers)
    death = deaths[0] if deaths else {}
    reason = str(death.get("reason", "unknown"))
    queue = str(death.get("queue", "a queue"))
    text = _TEXTS.get(reason, "the broker gave it up in {queue}, reason {reason}")
    words = text.format(queue=queue, reason=reason, count=headers.get("x-delivery-count", "several"))
    return Invalid("crash" if reason == "delivery_limit" else "broker", reason, {"message": words})


def origin(headers: Mapping[str, Any], exchange: str, routing_key: str) -> tuple[str, str]:
    """Where the sender published a message that came through the dead letter exchange: its oldest death knows.

    `exchange` and `routing_key`, those it was delivered with, hold where no death is told.
    """
    deaths = _deaths(headers)
    if not deaths:
        return exchange, routing_key
    keys = deaths[-1].get("routing-keys")
    key = keys[0] if isinstance(keys, list) and keys else routing_key
    return str(deaths[-1].get("exchange", exchange)), str(key)


def _deaths(headers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Newest first."""
    deaths = headers.get("x-death")
    return [each for each in deaths if isinstance(each, Mapping)] if isinstance(deaths, list) else []
