"""Takes messages into the spool: each is on the disk before its sender hears so, many at a time with one sync."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from consumers.runtime.failpoints import Failpoint
from ingest.http.outcome import SPOOLED, Outcome, Refusal, Refused
from ingest.spool.disk import Disk
from ingest.spool.segments import SEGMENT_BYTES, Appender, make_folder
from schemas.message import Message

DISK_SECONDS: Final = 5.0
"""How long a start and a stop wait for the disk: nothing is lost where they don't, what is on it is found again."""
_REMEDY: Final = "see that this process may write there and that the disk has room; `chef-ingest doctor` looks"
SLOW: Final = "the disk does not answer in time"
SLOW_REMEDY: Final = (
    "see to that disk, or the server it is mounted from; what is in the folder stays there, and whichever shim has it"
    " next brings it to the broker"
)

_Entry = tuple[Message, int, asyncio.Future[Outcome]]
"""A message, the UNIX time at which it came, and what is told to who waits."""


class Spool:
    """One process's way into a folder that several may share; the writing is done on a thread of its own.

    `observe` is told of each message: its door's word, and `spooled` or a Refusal's value.
    """

    def __init__(
        self,
        folder: Path,
        limit: int,
        failpoint: Failpoint,
        *,
        observe: Callable[[str, str], None] = lambda *_: None,
        now: Callable[[], float] = time.time,
        patience: float = DISK_SECONDS,
    ) -> None:
        self.folder, self.limit = folder, limit
        self._writer = Appender(folder, limit, failpoint)
        self._observe = observe
        self._now = now
        self.patience = patience
        self._disk = Disk("spool")
        self._waiting: list[_Entry] = []
        self._writing: asyncio.Task[None] | None = None
        self._fault = ""
        self._log = structlog.get_logger("ingest.spool.spool")

    async def prepare(self) -> None:
        """Make the folder; say so at once, and not when it is needed, where that can't be. A disk that hangs is waited
        for no longer than `patience` seconds."""
        try:
            await asyncio.wait_for(self._disk.do(make_folder, self.folder), self.patience)
        except TimeoutError:
            self._complain(SLOW)
        except OSError as error:
            self._complain(error.strerror or str(error))

    async def keep(self, message: Message, within: float) -> Outcome:
        """Spooled once it is on the disk; Refused where that is full, can't be written, or takes more than `within`
        seconds, which a disk that hangs does. What is being written by then may still get to the disk, and is stored
        as anything else there: the refusal said that nobody knows. What had not begun is forgotten.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        entry = (message, int(self._now()), outcome)
        self._waiting.append(entry)
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        done, _ = await asyncio.wait((outcome,), timeout=within)
        return outcome.result() if done else self._late(entry)

    def _late(self, entry: _Entry) -> Outcome:
        """Nobody waits for it any more; the memory is for those who do."""
        self._waiting = [each for each in self._waiting if each is not entry]
        entry[2].cancel()
        self._observe(entry[0].door, Refusal.SPOOL_SLOW.value)
        self._complain(SLOW)
        return Refused(Refusal.SPOOL_SLOW)

    async def seal(self) -> None:
        """Leave what we have written to the drainer."""
        await self._disk.do(self._writer.seal)

    async def close(self) -> None:
        """Once nothing more comes. A disk that hangs is waited for no longer than `patience` seconds: what was told as
        kept is on it, and our end leaves it to the drainer as well."""
        try:
            await asyncio.wait_for(self.seal(), self.patience)
        except TimeoutError:
            self._log.error("spool_left", folder=str(self.folder), why=SLOW, remedy=SLOW_REMEDY)
        self._disk.end()

    async def _write(self) -> None:
        while self._waiting:
            batch = self._batch()
            try:
                pairs = [(message, received) for message, received, _ in batch]
                kept = await self._disk.do(self._writer.append, pairs)
                rest = Refusal.SPOOL_FULL
                self._fault = ""
            except OSError as error:
                kept, rest = 0, Refusal.SPOOL_FAILED
                self._complain(error.strerror or str(error))
            for number, (message, _, outcome) in enumerate(batch):
                # Else it was told as late.
                if not outcome.done():
                    self._observe(message.door, "spooled" if number < kept else rest.value)
                    outcome.set_result(SPOOLED if number < kept else Refused(rest))
        self._writing = None

    def _batch(self) -> list[_Entry]:
        """The next that are written together: as many as make a segment."""
        size = count = 0
        while count < len(self._waiting) and size < SEGMENT_BYTES:
            size += len(self._waiting[count][0].payload)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _complain(self, why: str) -> None:
        if why != self._fault:
            self._fault = why
            remedy = SLOW_REMEDY if why == SLOW else _REMEDY
            self._log.error("spool_failed", folder=str(self.folder), why=why, remedy=remedy)
