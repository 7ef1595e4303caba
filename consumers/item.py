"""An item is a delivery with what the judge said of it: what a batch is made of."""

from __future__ import annotations

import msgspec

from consumers.delivery import Delivery
from schemas.judge import Candidate
from schemas.verdict import Conflict, Invalid, Pong, UnknownRun, Verdict


class Item(msgspec.Struct, frozen=True, gc=False):
    """`judgement` is a Candidate to store, an Invalid to set aside, or a Pong to answer.

    `patient`: should the run it ends be unknown, it can wait in the delay queue.
    """

    delivery: Delivery
    judgement: Candidate | Invalid | Pong
    patient: bool = False

    def becomes_letter(self, verdict: Verdict) -> bool:
        """Whether a message with this verdict is kept as a dead letter."""
        if isinstance(verdict, UnknownRun):
            return not self.patient
        return isinstance(verdict, Invalid | Conflict)
