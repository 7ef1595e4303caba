"""What comes to a data collector and can't be told to be any other kind of message: always a letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NoReturn

from schemas.kinds.collected import QUEUE, TELLS
from schemas.kinds.columns import Extra
from schemas.kinds.formats import Fault
from schemas.kinds.kind import Document, Kind
from schemas.message import Message


class UnknownRow(NamedTuple):
    """None is ever made."""

    extra: Extra | None


def faults(message: Message, values: Mapping[str, Any]) -> dict[str, Fault]:
    text = (
        "no message that we know: its message_type is none of action, run_start and run_converge,"
        " its event_type is not node_ping, and it has no profiles, as a compliance report has"
    )
    return {"message_type": Fault("unknown_message_type", text)}


def make(message: Message, document: Document) -> NoReturn:
    raise AssertionError("it always has a fault")


KIND: Final = Kind(
    name="unknown",
    row=UnknownRow,
    make=make,
    faults=faults,
    schemas={"documented": "wire.json", "wire": "wire.json"},
    routing_key="collector.unknown",
    queue=QUEUE,
    rank=3,
    path="/",
    tables=(),
    tells=TELLS,
)
