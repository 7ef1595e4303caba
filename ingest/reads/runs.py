"""The routes of runs: Chef's Reporting API as knife-reporting asks it, and our own form of a run for who wants that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from consumers.database import statements
from ingest.http.answers import Answer
from ingest.http.negotiation import BY_ACCEPT
from ingest.http.requests import Request
from ingest.http.routes import Route
from ingest.reads import asked, own, paging, reporting
from ingest.reads.answering import Missing, answered, found
from ingest.reads.database import Database
from schemas.doors import RUN_PATH, RUNS_PATH
from schemas.kinds.extra import FLAG
from schemas.kinds.formats import canonical_uuid
from schemas.settings import Settings

_REPORTS: Final = "/organizations/{organization}/reports"
_OF_ORGANIZATION: Final = f"{_REPORTS}/org/runs"
_NO_RUN: Final = "no such run"
_MOST_DIGITS: Final = 9


class RunRoutes:
    """Handlers of what is read of runs. `now` is asked for windows, and for how long a run has had no end."""

    def __init__(self, settings: Settings, database: Database, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._database = database
        self._now = now
        self._sql = statements.load("ingest.reads", "runs.sql")

    def routes(self) -> list[Route]:
        """Every route; a run of a node is found by its node, and by its organization alone."""
        templates = {
            RUNS_PATH: self.history,
            _OF_ORGANIZATION: self.history,
            RUN_PATH: self.run,
            _OF_ORGANIZATION + "/{run_id}": self.run,
            RUN_PATH + "/{resource}": self.resource,
            _OF_ORGANIZATION + "/{run_id}/{resource}": self.resource,
            f"{_REPORTS}/runs/counts": self.counts,
            f"{_REPORTS}/runs/durations": self.durations,
        }
        routes = [
            Route(path=path, method="GET", handler=answered(handler, as_list=True), scope="read")
            for path, handler in templates.items()
        ]
        return [*routes, Route(path="/reports/status", method="GET", handler=self.status, scope=None)]

    async def history(self, request: Request) -> Answer:
        """A list of runs, newest first."""
        query, now = self._query(request), self._now()
        wanted = asked.runs(query, now)
        keys = self._keys(request, now) | _window(wanted.window) | paging.beginning(wanted.after)
        keys |= {"status": wanted.status, "start": wanted.start, "rows": wanted.rows + 1}
        rows, more = await self._database.page(self._sql["runs"], keys)
        page = paging.cut(rows, wanted.rows, more=more)
        return found(reporting.history(page.rows), paging.link(request.path, query, page.last))

    async def run(self, request: Request) -> Answer:
        """One run: in Reporting's form with some of its resources, in our own with all."""
        query = self._query(request)
        is_own = request.wants(own.MEDIA)
        wanted = asked.ResourcesAsked(asked.MOST_RESOURCES, 0, True) if is_own else asked.resources(query)
        keys = self._keys(request, self._now()) | {"flag": FLAG, "start": wanted.start, "rows": wanted.rows}
        runs = await self._database.rows(self._sql["run"], keys | {"run_id": _run_id(request)})
        if not runs:
            raise Missing(_NO_RUN)
        resources = await self._database.rows(self._sql["resources"], keys | {"run_id": runs[0]["run_id"]})
        if is_own:
            return found(own.run(runs[0], resources), BY_ACCEPT, own.MEDIA)
        place = request.base(self._settings.public_url) + request.path
        return found(reporting.run(runs[0], resources, place, detail=wanted.detail), BY_ACCEPT)

    async def resource(self, request: Request) -> Answer:
        """What a run changed in one resource."""
        self._query(request)
        position = request.params["resource"]
        if not (position.isascii() and position.isdigit() and len(position) <= _MOST_DIGITS):
            raise Missing("no such resource of this run")
        keys = self._keys(request, self._now()) | {"run_id": _run_id(request), "position": int(position)}
        rows = await self._database.rows(self._sql["resource"], keys)
        if not rows:
            raise Missing("no such resource of this run")
        return found(reporting.resource(rows[0]))

    async def counts(self, request: Request) -> Answer:
        """How many runs began, by the minute, hour, day or week."""
        query, now = self._query(request), self._now()
        window, unit = asked.counts(query, now)
        keys = self._keys(request, now) | _window(window) | {"unit": unit}
        return found(reporting.counts(await self._database.rows(self._sql["counts"], keys), unit))

    async def durations(self, request: Request) -> Answer:
        """How long runs took."""
        query, now = self._query(request), self._now()
        keys = self._keys(request, now) | _window(asked.window(query, now))
        [row] = await self._database.rows(self._sql["durations"], keys)
        return found(reporting.durations(row))

    async def status(self, request: Request) -> Answer:
        """Whether Reporting works, to whoever asks."""
        return found(reporting.status(database=await self._database.alive(self._sql["alive"])))

    def _query(self, request: Request) -> Mapping[str, str]:
        request.check_protocol(strict=self._settings.strict_protocol)
        return request.query()

    def _keys(self, request: Request, now: datetime) -> dict[str, Any]:
        params = request.params
        if any("\0" in value for value in params.values()):
            raise Missing(_NO_RUN)
        aborted = now - timedelta(seconds=self._settings.run_aborted_seconds)
        return {"organization": params["organization"], "node": params.get("node"), "aborted": aborted}


def _run_id(request: Request) -> str:
    run_id = canonical_uuid(request.params["run_id"])
    if run_id is None:
        raise Missing(_NO_RUN)
    return run_id


def _window(window: asked.Window) -> dict[str, Any]:
    return {"since": window.since, "until": window.until}


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)
