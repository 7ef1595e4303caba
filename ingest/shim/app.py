"""The HTTP shim: routes, and for each what is asked of the publisher or the database."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from starlette import routing
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.access.gate import Gate
from ingest.access.unguarded import Unguarded
from ingest.http.answers import Answer, fault, render
from ingest.http.negotiation import wants_problem
from ingest.http.requests import Declined, Disconnected, Request
from ingest.http.routes import Handler, Route
from ingest.publisher.publisher import Publisher
from ingest.shim import doors, openapi
from ingest.shim.doors.entry import Entry
from ingest.shim.metrics import ShimMetrics
from ingest.shim.readiness import Readiness
from ingest.shim.reads import Reads, ReadsUnavailable
from ingest.spool.spool import Spool
from ingest.telemetry.tracing import ShimTracing
from schemas.doors import RUN_PATH
from schemas.settings import Settings

_LONGEST_PATH: Final = 8192
"""A path's parts travel in one AMQP frame, which the broker bounds: more would cost everybody the channel."""

_SLASHES: Final = re.compile("//+")


def build(
    settings: Settings,
    publisher: Publisher,
    reads: Reads,
    gate: Gate | None = None,
    metrics: ShimMetrics | None = None,
    tracing: ShimTracing | None = None,
    spool: Spool | None = None,
) -> ASGIApp:
    """The ASGI application. It starts and closes what it is given with its own life; None guards nothing."""
    metrics = metrics or ShimMetrics("unknown")
    gate = gate or Gate(None, None)
    metrics.watch(publisher, gate)
    wrap = Unguarded(settings).wrap if gate.guard is None else gate.guard.wrap
    table: dict[str, dict[str, Handler]] = {}
    for route in routes(Shim(settings, publisher, reads, metrics, gate), Entry(settings, publisher, tracing, spool)):
        table.setdefault(route.path, {})[route.method] = wrap(route)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        publisher.start()
        yield
        await publisher.close()
        await reads.close()

    router = routing.Router(
        [routing.Route(template, Resource(template, methods, metrics.answered)) for template, methods in table.items()],
        redirect_slashes=False,
        default=Resource("", {}, metrics.answered),
        lifespan=lifespan,
    )

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # Routed by the path as sent: decoded, a `%2F` in a node's name would be a slash. Slashes in a row are one,
            # as before a Chef server: chef-clients up to 11.12.8 send two where their server's URL ends in one.
            scope["path"] = _SLASHES.sub("/", scope["raw_path"].decode("ascii"))
        await router(scope, receive, send)

    return application


def routes(shim: Shim, entry: Entry) -> list[Route]:
    """Every route: those of the doors, and what can be read."""
    return [
        *doors.routes(entry),
        Route(path=RUN_PATH, method="GET", handler=shim.get_run, scope="read"),
        Route(path="/actions/{id}", method="GET", handler=shim.get_action, scope="read", owner="answer"),
        Route(path="/healthz", method="GET", handler=shim.healthz, scope=None),
        Route(path="/readyz", method="GET", handler=shim.readyz, scope=None),
        Route(path="/metrics", method="GET", handler=shim.metrics.scrape, scope="read"),
        Route(path="/openapi.json", method="GET", handler=openapi.handler(), scope=None),
    ]


class Resource:
    """The methods of one route, as an ASGI application: every answer and every log line is made here."""

    def __init__(
        self, template: str, methods: Mapping[str, Handler], observe: Callable[[str, int, float], None]
    ) -> None:
        self._template = template
        self._observe = observe
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods["HEAD"] = methods["GET"]
        self._allow = ", ".join(sorted(self._methods))
        self._log = structlog.get_logger("ingest.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Disconnected:
            self._log_line(request, 499, "disconnected", started)
            return
        headers, body = render(answer, problem=wants_problem(request.fields.get(b"accept")))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._log_line(request, answer.status, answer.code, started)

    async def _answer(self, request: Request) -> Answer:
        if len(request.path) > _LONGEST_PATH:
            return fault(414, f"the path is longer than {_LONGEST_PATH} bytes", code="path")
        if not self._methods:
            return fault(404, "there is nothing here", code="not_found")
        handler = self._methods.get(request.method)
        if handler is None:
            allow = ((b"allow", self._allow.encode()),)
            return fault(405, f"the method must be {self._allow}", code="method", headers=allow)
        try:
            request.decode_params()
            return await handler(request)
        except Declined as declined:
            return declined.answer
        except Disconnected:
            raise
        except Exception:
            self._log.exception("request_failed", route=self._template, method=request.method)
            return fault(500, "this is a fault of the server; its log says more", code="internal")

    def _log_line(self, request: Request, status: int, code: str, started: float) -> None:
        seconds = time.perf_counter() - started
        self._observe(self._template, status, seconds)
        self._log.info(
            "request",
            method=request.method,
            route=self._template,
            status=status,
            verdict=code,
            bytes=request.body_bytes,
            seconds=round(seconds, 6),
            correlation_id=request.correlation_id,
            **request.facts,
        )


class Shim:
    """The handlers: they decide what to ask, never how an answer looks."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        reads: Reads,
        metrics: ShimMetrics,
        gate: Gate | None = None,
    ) -> None:
        self.metrics = metrics
        self._gate = gate or Gate(None, None)
        self._settings = settings
        self._reads = reads
        self._readiness = Readiness(publisher)

    async def get_action(self, request: Request) -> Answer:
        return await self._read(self._reads.action(request.params["id"], request.speaks_for), "no such action")

    async def get_run(self, request: Request) -> Answer:
        request.check_protocol(strict=self._settings.strict_protocol)
        params = request.params
        found = self._reads.run(params["organization"], params["node"], params["run_id"])
        return await self._read(found, "no such run of this node in this organization")

    async def _read(self, reading: Awaitable[bytes | None], missing: str) -> Answer:
        try:
            document = await reading
        except ReadsUnavailable as unavailable:
            structlog.get_logger("ingest.http").warning("database_unavailable", error=str(unavailable))
            headers = ((b"retry-after", b"2"),)
            return fault(503, "the database does not answer", code="database", headers=headers)
        if document is None:
            return fault(404, missing, code="not_found")
        return Answer(200, document, (), "found")

    async def healthz(self, request: Request) -> Answer:
        return Answer(200, {"status": "ok"}, (), "healthy")

    async def readyz(self, request: Request) -> Answer:
        why = await self._readiness.why_not()
        # Told to anybody: which files, by the names of their settings, and nothing of what is in them. Work goes on.
        besides: dict[str, Any] = {"not_reloaded": sorted(self._gate.faults)} if self._gate.faults else {}
        if self._gate.guard is not None and self._gate.guard.misquoted:
            besides["misquoted_token"] = True
        if why is None:
            return Answer(200, {"ready": True, **besides}, (), "ready")
        return Answer(503, {"ready": False, "why": why, **besides}, ((b"retry-after", b"2"),), "not_ready")
