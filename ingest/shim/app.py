"""The HTTP shim: routes, and for each what is asked of the publisher or the database."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from starlette import routing
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.access import access_tokens
from ingest.access.gate import Gate
from ingest.access.unguarded import Unguarded
from ingest.http.answers import PROBLEM, Answer, fault, render
from ingest.http.requests import Declined, Disconnected, Request
from ingest.http.routes import Handler, Route
from ingest.publisher.publisher import Publisher
from ingest.reads.routes import Reads
from ingest.shim import doors, openapi
from ingest.shim.doors.entry import Entry
from ingest.shim.metrics import PROBES, ShimMetrics
from ingest.shim.readiness import Readiness
from ingest.shim.welcome import welcome
from ingest.spool.spool import Spool
from ingest.telemetry.tracing import ShimTracing
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
    left_out: Callable[[str, str], None] = lambda *_: None,
) -> ASGIApp:
    """The ASGI application. It starts and closes what it is given with its own life; None guards nothing."""
    metrics = metrics or ShimMetrics("unknown")
    gate = gate or Gate(None, None)
    metrics.watch(publisher, gate)
    wrap = Unguarded(settings).wrap if gate.guard is None else gate.guard.wrap
    table: dict[str, dict[str, Handler]] = {}
    shim = Shim(publisher, metrics, gate)
    for route in routes(shim, Entry(settings, publisher, tracing, spool, left_out), reads):
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


def routes(shim: Shim, entry: Entry, reads: Reads) -> list[Route]:
    """Every route: those of the doors first, which are asked most, what can be read, and how the shim is."""
    return [
        *doors.routes(entry),
        *reads.routes(),
        *access_tokens.routes(None if shim.gate.guard is None else shim.gate.guard.access_tokens),
        Route(path="/", method="GET", handler=welcome, scope=None),
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
        headers, body = render(answer, problem=request.wants(PROBLEM))
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
        tell = self._log.debug if self._template in PROBES else self._log.info
        tell(
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

    def __init__(self, publisher: Publisher, metrics: ShimMetrics, gate: Gate) -> None:
        self.metrics = metrics
        self.gate = gate
        self._readiness = Readiness(publisher)

    async def healthz(self, request: Request) -> Answer:
        return Answer(200, {"status": "ok"}, (), "healthy")

    async def readyz(self, request: Request) -> Answer:
        why = await self._readiness.why_not()
        # Told to anybody: which files, by the names of their settings, and nothing of what is in them. Work goes on.
        besides: dict[str, Any] = {"not_reloaded": sorted(self.gate.faults)} if self.gate.faults else {}
        if self.gate.guard is not None and self.gate.guard.misquoted:
            besides["misquoted_token"] = True
        if why is None:
            return Answer(200, {"ready": True, **besides}, (), "ready")
        return Answer(503, {"ready": False, "why": why, **besides}, ((b"retry-after", b"2"),), "not_ready")
