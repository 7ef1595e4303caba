"""Reads why the broker itself gave a message up, from the headers it leaves on the way to the dead letter queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from consumers.broker.properties import text
from schemas.verdict import Invalid
from schemas.wording import shorten

_LONGEST: Final = 100
"""Characters of a reason or a queue's name: who publishes to the dead letter exchange by himself may name any."""

_TEXTS: Final = {
    "delivery_limit": "its worker died each time it was handled, until {queue} gave it up",
    "maxlen": "a good message: {queue} was full (length limit) and dropped it; replay it",
    "expired": "a good message: it waited in {queue} longer than the queue keeps messages; replay it",
    "rejected": "a consumer of {queue} rejected it",
}


def broker_death(headers: Mapping[Any, Any]) -> Invalid:
    """The verdict for a message off `ingest.dead`: it is kept with the broker's reason, never judged on the way.

    Source: RabbitMQ's `x-death` header, newest death first.
    """
    death = newest_death(headers) or {}
    return given_up(death.get("reason", "unknown"), death.get("queue", "a queue"))


def given_up(by: Any, where: Any) -> Invalid:
    """The verdict for what the broker gave up for the reason `by` in the queue `where`: whatever a header holds."""
    reason, queue = shorten(text(by), _LONGEST), shorten(text(where), _LONGEST)
    words = _TEXTS.get(reason, "the broker gave it up in {queue}, reason {reason}").format(queue=queue, reason=reason)
    return Invalid("crash" if reason == "delivery_limit" else "broker", reason, {"message": words})


def newest_death(headers: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """The latest entry of `x-death`; None where there is none."""
    deaths = headers.get("x-death")
    found = [each for each in deaths if isinstance(each, Mapping)] if isinstance(deaths, list) else []
    return found[0] if found else None
