"""Keeps the shim's half of the ledger: how many messages it has acknowledged, written down every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog

from consumers.database.errors import database_fault

FLUSH_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 2
_INSERT: Final = "INSERT INTO acknowledgements (counted_at, door, outcome, count) VALUES (%s, 'http', %s, %s)"
_MAYBE: Final = frozenset({"unconfirmed", "connection_lost", "blocked"})
"""What the sender was told to send again, though the broker may have it."""


class Acknowledged:
    """Counts by minute. A database that can't be reached delays the writing, never an answer; a shim that is
    killed takes the last seconds' counts with it, so that the ledger shows a surplus, not a loss."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._counted: Counter[tuple[datetime, str]] = Counter()
        self._fault = ""
        self._log = structlog.get_logger("ingest.shim.acknowledged")

    def count(self, result: str) -> None:
        """Count a publish by what became of it."""
        if result == "confirmed" or result in _MAYBE:
            minute = datetime.now(UTC).replace(second=0, microsecond=0)
            self._counted[minute, "confirmed" if result == "confirmed" else "unconfirmed"] += 1

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
        rows = [(minute, outcome, count) for (minute, outcome), count in counted.items()]
        try:
            connecting = psycopg.AsyncConnection.connect(
                self._database_url,
                connect_timeout=_CONNECT_SECONDS,
                application_name="chef-ingest shim ledger",
                options="-c statement_timeout=2000",
            )
            async with await connecting as connection, connection.cursor() as cursor:
                await cursor.executemany(_INSERT, rows)
        except psycopg.Error as error:
            self._counted.update(counted)
            self._complain(error)
        else:
            self._fault = ""

    def _complain(self, error: psycopg.Error) -> None:
        fault = type(error).__name__
        if fault != self._fault:
            self._fault = fault
            self._log.warning(
                "ledger_delayed",
                why=database_fault(error, self._database_url),
                remedy="the counts are kept and written later; until then `audit` shows a surplus",
            )
