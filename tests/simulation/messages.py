"""What is sent in a history: good and bad messages, repeated ones, runs in any order, and those that kill or break."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import Random

from pika.spec import BasicProperties

from consumers.delivery import Delivery
from schemas.message import Message
from schemas.topology import ACTIONS, RUNS
from schemas.validation.judge import Candidate
from schemas.verdict import Invalid
from simulation.clockwork import Killed

KINDS = {"action": ACTIONS, "run_start": RUNS, "run_end": RUNS}

MAY_BECOME = {
    "good": {"row"},
    "twin": {"row", "letter", "told"},
    "during": {"row", "skipped", "row and skipped"},
    "run_start": {"row"},
    # It may be a letter by the time its start comes, and come again itself.
    "run_end": {"row", "letter", "row and letter", "told"},
    "bad": {"letter", "told"},
    "refused": {"letter", "told"},
    "odd": {"letter", "told"},
    "broken": {"letter", "told"},
    "unkept": {"parked"},
    "immovable": {"row", "letter", "parked", "row and parked", "letter and parked"},
    "deadly": {"letter"},
    "deadly letter": {"parked"},
}
"""What a message is -> what it may become. `odd` makes the judge raise, `broken` the store, `unkept` its letter too;
`immovable` fits into no queue of suspects; the deadly kill whoever judges them, or makes a letter of them. One of the
twins, which share an id, is the row."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message; its payload says what it is: `what|id|content|run`."""

    payload: bytes
    kind: str
    waits: bool
    correlation_id: str

    @property
    def what(self) -> str:
        return self.payload.decode().split("|")[0]

    @property
    def row(self) -> tuple[str, str, str]:
        return row_of(self.payload)

    def delivery(self, now: float) -> Delivery:
        """As it lies in its queue, published at `now` of UNIX time."""
        reply_to = "shim" if self.waits else None
        return Delivery(
            Message(self.kind, self.payload, "http"), 0, 0, KINDS[self.kind], "ingest", self.kind,
            reply_to, self.correlation_id if self.waits else None, properties=BasicProperties(timestamp=int(now)),
        )  # fmt: skip


def row_of(payload: bytes) -> tuple[str, str, str]:
    _, id_, content, run = payload.decode().split("|")
    return id_, content, run


def judge(message: Message) -> Candidate | Invalid:
    """By what the payload says of itself; raises where it says so."""
    what = message.payload.decode().split("|")[0]
    if what == "bad":
        return Invalid("schema", "schema", {"id": "is bad"})
    if what == "odd":
        raise RuntimeError("odd")
    if what.startswith("deadly"):
        raise Killed
    return Candidate(message.kind, row_of(message.payload))


@dataclass(slots=True)
class Drawn:
    """Draws messages; those that belong together come by themselves, in any order."""

    random: Random
    _count: int = 0
    _earlier: list[Sent] = field(default_factory=list)

    def some(self, most: int) -> list[Sent]:
        """So many at most, but for what belongs together."""
        self._earlier = []
        for _ in range(self.random.randint(1, most)):
            self._one()
        self.random.shuffle(self._earlier)
        return self._earlier

    def _one(self) -> None:
        chosen = self.random.choice(
            ["good"] * 8
            + ["again", "again", "twin", "run", "run", "lone end", "bad", "bad", "refused", "odd", "broken"]
            + ["unkept", "immovable", "deadly", "deadly letter"]
        )
        if chosen == "again" and self._earlier:
            first = self.random.choice(self._earlier)
            self._send(first.payload, first.kind)
        elif chosen == "twin":
            id_ = self._id()
            for content in ("one", "other"):
                self._made("twin", "action", id_, content)
        elif chosen == "run":
            self._run()
        elif chosen == "lone end":
            self._made("run_end", "run_end", self._id())
        elif chosen != "again":
            self._made(chosen, "action", "no uuid" if chosen == "refused" else self._id())

    def _run(self) -> None:
        run = self._id()
        self._made("run_start", "run_start", run)
        for _ in range(self.random.randint(0, 2)):
            self._made("during", "action", self._id(), run=run)
        if self.random.random() < 0.8:
            self._made("run_end", "run_end", run)

    def _made(self, what: str, kind: str, id_: str, content: str = "", run: str = "") -> None:
        self._count += 1
        self._send(f"{what}|{id_}|{content or self._count}|{run}".encode(), kind)

    def _send(self, payload: bytes, kind: str) -> None:
        self._earlier.append(Sent(payload, kind, self.random.random() < 0.5, f"c{len(self._earlier)}"))

    def _id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
