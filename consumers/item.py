"""An item is a delivery with what the judge said of it: what a batch is made of."""

from __future__ import annotations

import msgspec

from consumers.delivery import Delivery
from schemas.judge import Candidate
from schemas.topology import DELAY_SECONDS
from schemas.verdict import Conflict, Invalid, Pong, UnknownRun, Verdict, WaitsForRun


class Item(msgspec.Struct, frozen=True, gc=False):
    """`judgement` is a Candidate to store, an Invalid to set aside, or a Pong to answer."""

    delivery: Delivery
    judgement: Candidate | Invalid | Pong


def becomes_letter(verdict: Verdict) -> bool:
    """Whether a message with this verdict is kept as a dead letter."""
    return isinstance(verdict, Invalid | Conflict | UnknownRun) and not isinstance(verdict, WaitsForRun)


def is_patient(delivery: Delivery, now: float, patience_seconds: int) -> bool:
    """Whether a run end may wait in the delay queue, at `now` of UNIX time: nobody waits for its answer, or no longer,
    and it has not been there for `patience_seconds`."""
    late = delivery.answer_by is not None and now > delivery.answer_by
    return (late or not delivery.reply_to) and delivery.retries * DELAY_SECONDS < patience_seconds
