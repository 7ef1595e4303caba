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
    death = _newest(headers.get("x-death"))
    reason = str(death.get("reason", "unknown"))
    queue = str(death.get("queue", "a queue"))
    text = _TEXTS.get(reason, "the broker gave it up in {queue}, reason {reason}")
    words = text.format(queue=queue, reason=reason, count=headers.get("x-delivery-count", "several"))
    return Invalid("crash" if reason == "delivery_limit" else "broker", reason, {"message": words})


def _newest(deaths: object) -> Mapping[str, Any]:
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping):
        return deaths[0]
    return {}
