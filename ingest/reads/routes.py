"""All that can be read, as one thing that is composed into the shim and closed with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ingest.http.routes import Route
from ingest.reads.actions import ActionRoutes
from ingest.reads.database import Database
from ingest.reads.runs import RunRoutes, utc_now
from schemas.settings import Settings


class Reads:
    """The routes of what is stored, over connections of their own."""

    def __init__(
        self, settings: Settings, database_url: Callable[[], str], now: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = Database(database_url, settings.read_timeout_seconds)
        self._runs = RunRoutes(settings, self._database, now)
        self._actions = ActionRoutes(self._database)

    def routes(self) -> list[Route]:
        """Every route."""
        return [*self._runs.routes(), *self._actions.routes()]

    async def close(self) -> None:
        """Close what was opened."""
        await self._database.close()
