"""Takes what waits in a spool to the broker, once it is back: in order, confirmed before it leaves the spool."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import structlog

from consumers.runtime.failpoints import Failpoint
from ingest.http.outcome import HOPELESS, Outcome, Refusal, Refused
from ingest.spool.contents import Contents, Looker
from ingest.spool.disk import Disk
from ingest.spool.record import Damaged, Record, Torn
from ingest.spool.segments import Sealed, drainer_of, sealed, segments
from ingest.spool.spool import SLOW, SLOW_REMEDY, Spool
from schemas.message import Message

LOOK_SECONDS: Final = 1.0
_TOGETHER: Final = 50
"""Messages that are under way to the broker at once."""
_TRIES: Final = 5
"""How often one message, alone under way, may have cost the connection before it is set aside: the broker closes it
over a message that is larger than it takes."""


class Publishes(Protocol):
    """The publisher, as far as a drainer asks it."""

    def refusal(self) -> Refusal | None: ...

    def publish(
        self, message: Message, *, wait: float, received: int | None = None
    ) -> tuple[str, asyncio.Future[Outcome]]: ...


class Drainer:
    """One of each process that has a spool; of those of one folder one drains at a time, the others only look.

    `contents` is what was there when last looked.
    """

    def __init__(self, spool: Spool, publisher: Publishes, failpoint: Failpoint) -> None:
        self.contents = Contents()
        self._spool = spool
        self._publisher = publisher
        self._failpoint = failpoint
        self._looker = Looker(spool.folder)
        self._disk = Disk("spool drainer")
        self._stop = threading.Event()
        self._careful = self._lost = 0
        self._fault = ""
        self._log = structlog.get_logger("ingest.spool.drainer")

    @asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        """Drain while the block runs, whenever the broker takes something; what is under way after it is finished."""
        ended = asyncio.Event()
        await self._spool.prepare()
        task = asyncio.create_task(self._run(ended))
        try:
            yield
        finally:
            self._stop.set()
            ended.set()
            await self._last(task)
            await self._spool.close()
            self._disk.end()

    async def _last(self, task: asyncio.Task[None]) -> None:
        """Its end, where the disk lets it come to one: what is marked too late is sent twice, and stored once."""
        done, _ = await asyncio.wait((task,), timeout=self._spool.patience)
        if done:
            return task.result()
        task.cancel()
        folder = str(self._spool.folder)
        self._log.error("spool_left", folder=folder, why=SLOW, remedy=SLOW_REMEDY)

    async def _run(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await self.turn()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), LOOK_SECONDS)

    async def turn(self) -> None:
        """Drain what there is, as far as the broker takes it, and look."""
        self._loop = asyncio.get_running_loop()
        try:
            if self._publisher.refusal() is None:
                await self._spool.seal()
                await self._disk.do(self._drain)
            self.contents = await self._disk.do(self._looker.look)
            self._fault = ""
        except OSError as error:
            why = str(error)
            if why != self._fault:
                self._fault = why
                self._log.error("spool_unreadable", folder=str(self._spool.folder), why=why)

    # From here on in a thread: what is asked of the disk holds up nobody's answer.

    def _drain(self) -> None:
        folder = self._spool.folder
        if not segments(folder):
            return
        with drainer_of(folder) as ours:
            for path in segments(folder) if ours else ():
                with sealed(path) as segment:
                    if segment is not None and not self._emptied(segment):
                        return

    def _emptied(self, segment: Sealed) -> bool:
        """Whether all of it is with the broker, or aside, and the segment gone."""
        records = [found for found in segment.found if isinstance(found, Record)]
        waiting = [record for record in records if not record.drained]
        while waiting:
            if self._stop.is_set():
                return False
            group = waiting[: 1 if self._careful else _TOGETHER]
            outcomes = asyncio.run_coroutine_threadsafe(self._published(group), self._loop).result()
            self._failpoint.reach("spool_published")
            taken = [each for each, outcome in zip(group, outcomes, strict=True) if not isinstance(outcome, Refused)]
            segment.mark(taken)
            self._failpoint.reach("spool_marked")
            gone = {each.offset for each in taken}
            waiting = [each for each in waiting if each.offset not in gone]
            if len(taken) < len(group):
                refusal = next(outcome.refusal for outcome in outcomes if isinstance(outcome, Refused))
                if not self._hopeless(refusal, len(group)):
                    return False
                self._set_aside(segment, waiting.pop(0), refusal.value)
            elif self._careful:
                self._careful, self._lost = self._careful - 1, 0
        self._leave(segment, len(records))
        return True

    async def _published(self, group: Sequence[Record]) -> list[Outcome]:
        futures = [self._publisher.publish(each.message, wait=0, received=each.received)[1] for each in group]
        return [await future for future in futures]

    def _hopeless(self, refusal: Refusal, together: int) -> bool:
        """Whether the first of those that were refused is never going to be taken."""
        if refusal is Refusal.CONNECTION_LOST:
            # One of them may be why: alone, each shows it.
            self._lost = self._lost + 1 if together == 1 else 0
            self._careful = max(self._careful, together)
        return refusal in HOPELESS or self._lost >= _TRIES

    def _leave(self, segment: Sealed, messages: int) -> None:
        for found in segment.found:
            if isinstance(found, Damaged):
                self._set_aside(segment, found, "damaged")
            elif isinstance(found, Torn):
                self._log.warning("spool_torn", segment=segment.path.name, offset=found.offset, bytes=found.size)
        segment.remove()
        self._failpoint.reach("spool_removed")
        self._log.info("spool_drained", segment=segment.path.name, messages=messages)

    def _set_aside(self, segment: Sealed, found: Record | Damaged, why: str) -> None:
        path = segment.set_aside(found)
        if isinstance(found, Record):
            segment.mark([found])
        self._careful = self._lost = 0
        remedy = "see docs/runbooks/ChefIngestSpoolSetAside.md"
        self._log.error("spool_set_aside", file=str(path), why=why, bytes=found.size, remedy=remedy)
