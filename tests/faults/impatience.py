"""A broker that soon gives up a consumer that acknowledges nothing, and how often it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ingest.local.rabbitmq import RabbitMQ
from ingest.soak.system import System

USUAL_MS: Final = 1_800_000
WORDS: Final = ("delivery acknowledgement on channel", "cancelled our consumer")
"""A broker that closes the channel says why; one that cancels the consumer (RabbitMQ 4.3 does) says nothing."""


@contextmanager
def impatient(rabbit: RabbitMQ, milliseconds: int) -> Iterator[None]:
    """The broker's consumer timeout, for channels that are opened meanwhile: each keeps what it was opened with."""
    _set(rabbit, milliseconds)
    try:
        yield
    finally:
        _set(rabbit, USUAL_MS)


def given_up(system: System) -> int:
    """How often a worker has said that the broker gave it up."""
    waiting = [each.get("why", "") for each in system.log("consumers") if each["event"] == "waiting"]
    return sum(any(words in why for words in WORDS) for why in waiting)


def _set(rabbit: RabbitMQ, milliseconds: int) -> None:
    rabbit.ctl("eval", f"application:set_env(rabbit, consumer_timeout, {milliseconds}).")
