"""Keeps the shim's half of the ledger: how many messages it has acknowledged, written down every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import psycopg
import structlog

from consumers.database import statements
from consumers.database.connection import Purpose, connect_async
from consumers.database.errors import database_fault
from schemas.labels import KIND_OFF, Acknowledgement

FLUSH_SECONDS: Final = 5.0
_MINUTE: Final = 60
_PURPOSE: Final = Purpose("chef-ingest shim ledger", connect=2, statement=2, silence=3)
_TOLD: Final = frozenset({"confirmed", "spooled"})
"""What the sender was told that we have. Once: what a spool had is not counted when the broker confirms it."""
_MAYBE: Final = frozenset({"unconfirmed", "connection_lost", "blocked", "spool_slow"})
"""What the sender was told to send again, though the broker, or the spool's disk, may have it."""


class Acknowledged:
    """Counts by minute and door. A database that can't be reached delays the writing, never an answer; a shim that is
    killed takes the last seconds' counts with it, so that the ledger shows a surplus, not a loss."""

    def __init__(self, database_url: Callable[[], str]) -> None:
        self._database_url = database_url
        self._sql = statements.load("ingest.shim", "acknowledged.sql")
        self._counted: Counter[tuple[datetime, str, Acknowledgement]] = Counter()
        self._left_out: Counter[datetime] = Counter()
        self._fault = ""
        self._log = structlog.get_logger("ingest.shim.acknowledged")

    def count(self, door: str, result: str) -> None:
        """Count a message by its door's word and what became of it at the broker, or in the spool."""
        if result in _TOLD or result in _MAYBE:
            self._counted[_minute(), door, "confirmed" if result in _TOLD else "unconfirmed"] += 1

    def leave_out(self, door: str) -> None:
        """Count a message that its sender was told is not kept: on both sides, so that the ledger closes over it."""
        minute = _minute()
        self._counted[minute, door, "confirmed"] += 1
        self._left_out[minute] += 1

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Write down every few seconds while the block runs, and once more after it."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            yield
        finally:
            # Not cancelled: cut short in its middle, nobody would know whether a write was committed.
            stop.set()
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FLUSH_SECONDS)
            await self._flush()

    async def _flush(self) -> None:
        if not self._counted:
            return
        counted, self._counted = self._counted, Counter()
        left_out, self._left_out = self._left_out, Counter()
        rows = [
            {"at": at, "door": door, "outcome": outcome, "count": count}
            for (at, door, outcome), count in counted.items()
        ]
        url = self._database_url()
        try:
            connecting = connect_async(url, _PURPOSE)
            async with await connecting as connection, connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(self._sql["insert"].encode(), rows)
                tallied = [{"at": at, "rule": KIND_OFF, "count": count} for at, count in left_out.items()]
                await cursor.executemany(self._sql["insert_told"].encode(), tallied)
        except psycopg.Error as error:
            self._counted.update(counted)
            self._left_out.update(left_out)
            self._complain(error, url)
        else:
            self._fault = ""

    def _complain(self, error: psycopg.Error, url: str) -> None:
        fault = type(error).__name__
        if fault != self._fault:
            self._fault = fault
            self._log.warning(
                "ledger_delayed",
                why=database_fault(error, url),
                remedy="the counts are kept and written later; until then `audit` shows a surplus",
            )


def _minute() -> datetime:
    return _beginning(int(time.time() // _MINUTE))


@lru_cache(maxsize=1)
def _beginning(minute: int) -> datetime:
    """Remembered: many messages are counted in one."""
    return datetime.fromtimestamp(minute * _MINUTE, UTC)
