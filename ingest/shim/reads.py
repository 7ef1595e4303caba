"""Reads what is stored, for the GET routes; PostgreSQL is not dialled before the first read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, LiteralString

import msgspec
import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from consumers.database.connection import AsyncConnection, Purpose, begin, heeding
from consumers.database.statements import filled
from schemas.kinds.action import ActionRow, document
from schemas.kinds.extra import FLAG, is_flagged
from schemas.kinds.stray import restore

_PATIENCE_SECONDS: Final = 2.0
_PURPOSE: Final = Purpose("chef-ingest shim", connect=2, statement=2, silence=3, read_only=True)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class ReadsUnavailable(Exception):
    """PostgreSQL didn't answer a read in time; the message says what it said."""


def _sql(name: str) -> LiteralString:
    # psycopg asks for literals, so that nobody puts values into a statement; a file of ours is one.
    return filled((files("ingest.shim") / "sql" / f"{name}.sql").read_text("utf-8"), ActionRow)


class Reads:
    """Lookups of single actions and runs. Every method gives JSON text, or None for what is not there.

    They raise ReadsUnavailable when the database can't answer within a few seconds.
    """

    def __init__(self, database_url: Callable[[], str]) -> None:
        self._action, self._run, self._resources = _sql("action"), _sql("run"), _sql("run_resources")
        # min_size=0: a shim that is never asked holds no connection.
        self._pool = AsyncConnectionPool(
            lambda: heeding(database_url()),
            connection_class=AsyncConnection,
            min_size=0,
            max_size=4,
            open=False,
            timeout=_PATIENCE_SECONDS,
            kwargs=_PURPOSE.arguments(),
            configure=lambda connection: begin(connection, _PURPOSE),
            check=AsyncConnectionPool.check_connection,
        )
        self._opened = False

    async def close(self) -> None:
        """Close what was opened."""
        if self._opened:
            await self._pool.close(timeout=1.0)

    async def action(self, action_id: str, organizations: Sequence[str] | None = None) -> bytes | None:
        """The action as it was sent; of other than these organizations none is there."""
        if not _UUID.fullmatch(action_id.lower()):
            return None
        keys = {"id": action_id.lower(), "organizations": None if organizations is None else list(organizations)}
        rows = await self._query([self._action], keys)
        if not rows[0]:
            return None
        row = ActionRow(*rows[0][0].values())
        return _body(document(row), strays=is_flagged(row.extra))

    async def run(self, organization: str, node: str, run_id: str) -> bytes | None:
        """A run of this node in this organization, with its resources; `null` where the end is not in."""
        if not _UUID.fullmatch(run_id.lower()) or "\0" in organization + node:
            return None
        keys = {"organization": organization, "node": node, "run_id": run_id.lower(), "flag": FLAG}
        runs, resources = await self._query([self._run, self._resources], keys)
        if not runs:
            return None
        strays = runs[0].pop("strays")
        run = _embed(runs[0], ("data",))
        run["resources"] = [_embed(each, ("before", "after")) for each in resources]
        return _body(msgspec.json.encode(run).decode(), strays=strays)

    async def _query(self, statements: Sequence[LiteralString], keys: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        try:
            if not self._opened:
                self._opened = True
                await self._pool.open()
            async with (
                self._pool.connection() as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                return [await (await cursor.execute(each, keys)).fetchall() for each in statements]
        except psycopg.Error as error:
            raise ReadsUnavailable(f"{type(error).__name__}: {error}") from error


def _body(text: str, *, strays: bool) -> bytes:
    """What is answered; bytes that were no UTF-8 when they came are none when they go."""
    return restore(text) if strays else text.encode()


def _embed(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The row with its JSON columns put in as the sender wrote them, not parsed again."""
    raw = {name: msgspec.Raw(row[name].encode()) for name in names if row[name] is not None}
    return row | raw
