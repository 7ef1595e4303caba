"""The routes of actions: those of Chef Analytics, of which knife-analytics lists and shows actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from consumers.database import statements
from ingest.http.answers import JSON, Answer
from ingest.http.negotiation import BY_ACCEPT
from ingest.http.requests import Request
from ingest.http.routes import Route
from ingest.reads import analytics, asked, own, paging
from ingest.reads.answering import Missing, answered, exactly, found, unchanging
from ingest.reads.database import Database
from schemas.kinds.action import ActionRow
from schemas.kinds.extra import is_flagged
from schemas.kinds.formats import canonical_uuid

_ORGANIZATION: Final = "/organizations/{organization}"
_NONE_HERE: Final = ("alerts", "audits", "rules", "aliases")
"""What Analytics had beside actions, and we have none of: a list of nothing keeps its commands from failing."""
_MEDIA: Final[Mapping[str, bytes]] = {"json": JSON, "ndjson": analytics.NDJSON, "csv": analytics.CSV}


class ActionRoutes:
    """Handlers of what is read of actions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements.load("ingest.reads", "actions.sql", ActionRow)

    def routes(self) -> list[Route]:
        """Every route. Whose an action is that is asked for by its id, its row tells."""
        by_id = {"/actions/{id}": self.action, "/actions/{id}/payload": self.payload}
        lists = {"actions": self.actions, "actions/export": self.export} | dict.fromkeys(_NONE_HERE, self.nothing)
        return [
            *(
                Route(path=path, method="GET", handler=answered(handler), scope="read", owner="answer")
                for path, handler in by_id.items()
            ),
            *(
                Route(path=f"{_ORGANIZATION}/{name}", method="GET", handler=answered(handler), scope="read")
                for name, handler in lists.items()
            ),
        ]

    async def action(self, request: Request) -> Answer:
        """One action: Analytics' members beside those that were sent, or, in our own form, as it was sent."""
        row = await self._row(request)
        if request.wants(own.MEDIA):
            return unchanging(request, found(own.action(row), BY_ACCEPT, own.MEDIA))
        content = own.given_back(analytics.action(row), strays=is_flagged(row.extra))
        return unchanging(request, found(content, BY_ACCEPT))

    async def payload(self, request: Request) -> Answer:
        """The `data` of an action, to the letter."""
        row = await self._row(request)
        if row.data is None:
            raise Missing("this action came without data")
        return unchanging(request, exactly(own.given_back(row.data, strays=is_flagged(row.extra))))

    async def actions(self, request: Request) -> Answer:
        """A list of an organization's actions, newest first."""
        query = request.query()
        page = await self._page(request, asked.actions(query))
        return found(analytics.listed(page.rows), paging.link(request.path, query, page.last))

    async def export(self, request: Request) -> Answer:
        """The same as a table, for other programs."""
        query = request.query()
        wanted = asked.export(query)
        page = await self._page(request, wanted)
        link = paging.link(request.path, query, page.last)
        return exactly(analytics.exported(page.rows, wanted.format), link, _MEDIA[wanted.format])

    async def nothing(self, request: Request) -> Answer:
        """A list of what there is none of."""
        return found(b"[]")

    async def _row(self, request: Request) -> ActionRow:
        action_id, speaks_for = canonical_uuid(request.params["id"]), request.speaks_for
        if action_id is not None:
            keys = {"id": action_id, "organizations": None if speaks_for is None else list(speaks_for)}
            for row in await self._database.rows(self._sql["action"], keys):
                return ActionRow(**row)
        raise Missing("no such action")

    async def _page(self, request: Request, wanted: asked.ActionsAsked) -> paging.Page:
        organization = request.params["organization"]
        if "\0" in organization:
            return paging.Page([], None)
        keys: dict[str, Any] = {
            "organization": organization,
            "since": wanted.since,
            "before": wanted.before,
            "start": wanted.start,
            "rows": wanted.rows + 1,
        }
        keys |= paging.beginning(wanted.after) | dict.fromkeys(asked.FILTERS)
        keys |= wanted.filters
        rows, more = await self._database.page(self._sql["actions"], keys)
        return paging.cut(rows, wanted.rows, more=more)
