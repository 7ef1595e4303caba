"""What the spool's tests share: a publisher on plain values, messages, a folder looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from consumers.runtime.failpoints import Failpoint
from ingest.http.outcome import QUEUED, Outcome, Refusal, Refused
from ingest.spool.contents import Contents, Looker, entries
from ingest.spool.drainer import Drainer
from ingest.spool.spool import Spool
from schemas.message import Message
from tests.patience import LONG

LIMIT = 1024 * 1024
NEVER = Failpoint()


class Taker:
    """Takes what `refuses` gives no reason against; `taken` is payload and time of each."""

    def __init__(self, refuses: Callable[[Message], Refusal | None] = lambda _: None) -> None:
        self.refuses = refuses
        self.away: Refusal | None = None
        self.taken: list[tuple[bytes, int | None]] = []
        self.tried: list[bytes] = []

    def refusal(self) -> Refusal | None:
        return self.away

    def publish(
        self, message: Message, *, wait: float, received: int | None = None
    ) -> tuple[str, asyncio.Future[Outcome]]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        assert wait == 0
        refusal = self.refuses(message)
        self.tried.append(message.payload)
        if refusal is None:
            self.taken.append((message.payload, received))
        future.set_result(QUEUED if refusal is None else Refused(refusal))
        return "1", future

    @property
    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.taken]


def action(number: int, size: int = 0) -> Message:
    return Message("action", b"%d" % number + b" " * size, "collector", speaks_for=("acme",))


async def kept(folder: Path, *messages: Message, limit: int = LIMIT) -> list[Outcome]:
    """What becomes of messages that come all at once, at one time after the other from 1700000000 on."""
    times = iter(range(1700000000, 1700000000 + len(messages)))
    spool = Spool(folder, limit, NEVER, now=lambda: next(times))
    outcomes = await asyncio.gather(*(spool.keep(each, LONG) for each in messages))
    await spool.close()
    return outcomes


async def drained(folder: Path, taker: Taker, turns: int = 1) -> Contents:
    """What is left after so many turns of a drainer."""
    spool = Spool(folder, LIMIT, NEVER)
    drainer = Drainer(spool, taker, NEVER)
    for _ in range(turns):
        await drainer.turn()
    await spool.close()
    return drainer.contents


def waiting(folder: Path) -> list[str]:
    return [row["state"] for row in entries(folder)]


def contents(folder: Path) -> Contents:
    return Looker(folder).look()
