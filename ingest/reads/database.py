"""Asks PostgreSQL for what is read, within bounds of time and memory; it is not dialled before the first read."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from consumers.database.connection import AsyncConnection, Purpose, begin, heeding

CONNECTIONS: Final = 4
"""So many reads run at once in one shim; the others wait for `_PATIENCE_SECONDS`, and POSTs for none of them."""
ROOM: Final = 4 * 1024 * 1024
"""Characters of one page, beyond which it ends early."""

_PATIENCE_SECONDS: Final = 2.0
_ALIVE_SECONDS: Final = 1.0

Row = Mapping[str, Any]
Keys = Mapping[str, Any]


class ReadsUnavailable(Exception):
    """PostgreSQL can't be asked now; the message says what it said."""


class ReadTooLong(Exception):
    """The statement took longer than a read may."""


class Database:
    """A few connections for reading. Its methods raise ReadsUnavailable and ReadTooLong."""

    def __init__(self, database_url: Callable[[], str], seconds: float) -> None:
        """A statement may run for so many seconds."""
        self.seconds = seconds
        purpose = Purpose("chef-ingest shim", connect=2, statement=seconds, silence=seconds + 1, read_only=True)
        # min_size=0: a shim that is never asked holds no connection.
        self._pool = AsyncConnectionPool(
            lambda: heeding(database_url()),
            connection_class=AsyncConnection,
            min_size=0,
            max_size=CONNECTIONS,
            open=False,
            timeout=_PATIENCE_SECONDS,
            kwargs=purpose.arguments(),
            configure=lambda connection: begin(connection, purpose),
            check=AsyncConnectionPool.check_connection,
        )
        self._opened = False
        self._seen_alive: tuple[float, bool] = (-math.inf, False)
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        """Close what was opened."""
        if self._opened:
            await self._pool.close(timeout=1.0)

    async def rows(self, statement: str, keys: Keys) -> list[Row]:
        """All that it finds: for what is bounded by nature."""
        found, _ = await self._ask(statement, keys, math.inf)
        return found

    async def page(self, statement: str, keys: Keys) -> tuple[list[Row], bool]:
        """What it finds, up to the row with which that is larger than ROOM; whether there may be more."""
        return await self._ask(statement, keys, ROOM)

    async def alive(self, statement: str) -> bool:
        """Whether PostgreSQL answers; asked once a second at most, by however many."""
        async with self._looking:
            at, alive = self._seen_alive
            if time.monotonic() - at > _ALIVE_SECONDS:
                try:
                    alive = bool(await self.rows(statement, {}))
                except (ReadsUnavailable, ReadTooLong):
                    alive = False
                self._seen_alive = time.monotonic(), alive
            return alive

    async def _ask(self, statement: str, keys: Keys, room: float) -> tuple[list[Row], bool]:
        found: list[Row] = []
        try:
            if not self._opened:
                self._opened = True
                await self._pool.open()
            async with self._pool.connection() as connection:
                # Never prepared: a plan for any values would use no index for those that are named.
                connection.prepare_threshold = None
                async with connection.cursor(row_factory=dict_row) as cursor:
                    async for row in cursor.stream(statement.encode(), keys):
                        found.append(row)
                        room -= _size(row.values())
                        if room < 0:
                            return found, True
        except psycopg.errors.QueryCanceled as error:
            raise ReadTooLong(str(error)) from error
        except psycopg.Error as error:
            raise ReadsUnavailable(f"{type(error).__name__}: {error}") from error
        return found, False


def _size(values: Sequence[Any] | Any) -> int:
    return sum(len(value) for value in values if isinstance(value, str))
