"""Keeps the shim's half of the ledger: how many messages it has acknowledged, written down every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import psycopg
import structlog

from consumers.database import statements
from consumers.database.connection import Purpose, connect_async
from consumers.database.errors import database_fault
from schemas.labels import KIND_OFF, Acknowledgement

FLUSH_SECONDS: Final = 5.0
_MINUTE: Final = 60
_MOST_SAMPLES: Final = 60
"""Minutes of which a shim remembers how it went while the database is away."""
_PURPOSE: Final = Purpose("chef-ingest shim ledger", connect=2, statement=2, silence=3)
_TOLD: Final = frozenset({"confirmed", "spooled"})
"""What the sender was told that we have. Once: what a spool had is not counted when the broker confirms it."""
_MAYBE: Final = frozenset({"unconfirmed", "connection_lost", "blocked", "spool_slow"})
"""What the sender was told to send again, though the broker, or the spool's disk, may have it."""


class Acknowledged:
    """Counts by minute and door. A database that can't be reached delays the writing, never an answer; a shim that is
    killed takes the last seconds' counts with it, so that the ledger shows a surplus, not a loss."""

    def __init__(self, database_url: Callable[[], str], tells: Callable[[], Mapping[str, int]] = dict) -> None:
        """`tells` names what is sampled: all that was ever counted of it."""
        self._database_url = database_url
        self._tells = tells
        self._told: Counter[str] = Counter()
        self._process = {"host": socket.gethostname(), "process": f"serve {os.getpid()}"}
        self._sampled: dict[datetime, Counter[str]] = {}
        self._written: dict[datetime, str] = {}
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
        samples = self._sample()
        if not (self._counted or samples):
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
                await cursor.executemany(self._sql["sample"].encode(), samples)
        except psycopg.Error as error:
            self._counted.update(counted)
            self._left_out.update(left_out)
            self._complain(error, url)
        else:
            self._fault = ""
            self._written = {each["minute"]: each["said"] for each in samples} or self._written
            for minute in sorted(self._sampled)[:-1]:
                del self._sampled[minute]

    def _sample(self) -> list[dict[str, Any]]:
        """Rows to write of the minutes that are not written down yet, or have gone on since; an outage's oldest go."""
        minute, told = _minute(), Counter(self._tells())
        if told:
            counted = self._sampled.setdefault(minute, Counter())
            for name in told:
                counted[name] += told[name] - self._told[name]
            self._told = told
        for oldest in sorted(self._sampled)[:-_MOST_SAMPLES]:
            del self._sampled[oldest]
        said = {each: json.dumps(counts) for each, counts in self._sampled.items()}
        return [
            {"minute": each, "said": text, **self._process}
            for each, text in said.items()
            if self._written.get(each) != text
        ]

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
