"""The HTTP shim: routes, and for each what is asked of the publisher or the database."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.access.gate import Gate
from ingest.access.unguarded import Unguarded
from ingest.http.answers import Answer, Asked, fault, of_outcome, refused, render
from ingest.http.negotiation import CODINGS, content_coding, preference, wants_problem
from ingest.http.requests import Declined, Disconnected, Request
from ingest.publisher.publisher import Publisher
from ingest.shim import openapi
from ingest.shim.metrics import ShimMetrics
from ingest.shim.readiness import Readiness
from ingest.shim.reads import Reads, ReadsUnavailable
from ingest.telemetry.tracing import ShimTracing
from schemas.kinds.action import KIND as ACTION
from schemas.kinds.run_end import KIND as RUN_END
from schemas.kinds.run_start import KIND as RUN_START
from schemas.message import Message
from schemas.settings import Settings

Handler = Callable[[Request], Awaitable[Answer]]

_LONGEST_PATH: Final = 8192
"""A path's parts travel in one AMQP frame, which the broker bounds: more would cost everybody the channel."""

_SLASHES: Final = re.compile("//+")

_RUNS: Final = "/organizations/{organization}/reports/nodes/{node}/runs"


def build(
    settings: Settings,
    publisher: Publisher,
    reads: Reads,
    gate: Gate | None = None,
    metrics: ShimMetrics | None = None,
    tracing: ShimTracing | None = None,
) -> ASGIApp:
    """The ASGI application. It starts and closes what it is given with its own life; None guards nothing."""
    metrics = metrics or ShimMetrics("unknown")
    gate = gate or Gate(None, None)
    metrics.watch(publisher, gate)
    table = routes(Shim(settings, publisher, reads, metrics, tracing, gate))
    guard, unguarded = gate.guard, Unguarded(settings)
    table = {
        template: {
            method: unguarded.wrap(template, handler) if guard is None else guard.wrap(template, method, handler)
            for method, handler in methods.items()
        }
        for template, methods in table.items()
    }

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        publisher.start()
        yield
        await publisher.close()
        await reads.close()

    router = Router(
        [Route(template, Resource(template, methods, metrics.answered)) for template, methods in table.items()],
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


def routes(shim: Shim) -> dict[str, dict[str, Handler]]:
    """Every route: path template -> method -> handler. HEAD is GET's."""
    return {
        "/messages": {"POST": shim.post_action},
        _RUNS: {"POST": shim.post_run_start},
        _RUNS + "/{run_id}": {"POST": shim.post_run_end, "GET": shim.get_run},
        "/actions/{id}": {"GET": shim.get_action},
        "/healthz": {"GET": shim.healthz},
        "/readyz": {"GET": shim.readyz},
        "/metrics": {"GET": shim.metrics.scrape},
        "/openapi.json": {"GET": openapi.handler()},
    }


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
        tracing: ShimTracing | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.metrics = metrics
        self._gate = gate or Gate(None, None)
        self._tracing = tracing
        self._settings = settings
        self._publisher = publisher
        self._reads = reads
        self._readiness = Readiness(publisher)

    async def post_action(self, request: Request) -> Answer:
        return await self._post(request, ACTION.name)

    async def post_run_start(self, request: Request) -> Answer:
        request.check_protocol(strict=self._settings.strict_protocol)
        return await self._post(request, RUN_START.name)

    async def post_run_end(self, request: Request) -> Answer:
        request.check_protocol(strict=self._settings.strict_protocol)
        return await self._post(request, RUN_END.name)

    async def _post(self, request: Request, kind: str) -> Answer:
        settings, params = self._settings, request.params
        asked_for = preference(
            request.fields.get(b"prefer"), default=settings.wait_seconds, longest=settings.max_wait_seconds
        )
        asked = Asked(kind, request.base(settings.public_url), request.path, asked_for.applied)
        coding = _coding(request)
        # Before the body is read: who can't be served needn't send it all.
        refusal = self._publisher.refusal()
        if refusal is not None:
            return refused(refusal)
        message = Message(
            kind,
            await request.body(settings.max_body_bytes),
            "http",
            params.get("organization"),
            params.get("node"),
            params.get("run_id"),
            coding,
        )
        if self._tracing is None:
            request.correlation_id, outcome = self._publisher.publish(message, wait=asked_for.wait)
            return of_outcome(await outcome, asked)
        with self._tracing.post(message, request.fields) as trace:
            request.correlation_id, outcome = self._publisher.publish(
                message, wait=asked_for.wait, traceparent=trace.traceparent
            )
            answer = of_outcome(await outcome, asked)
            trace.verdict(answer.code)
            return answer

    async def get_action(self, request: Request) -> Answer:
        return await self._read(self._reads.action(request.params["id"]), "no such action")

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
        reload = {"not_reloaded": sorted(self._gate.faults)} if self._gate.faults else {}
        if why is None:
            return Answer(200, {"ready": True, **reload}, (), "ready")
        return Answer(503, {"ready": False, "why": why, **reload}, ((b"retry-after", b"2"),), "not_ready")


def _coding(request: Request) -> str | None:
    try:
        return content_coding(request.fields.get(b"content-encoding"))
    except ValueError as error:
        details = {"Content-Encoding": f"{str(error)!r} is none of gzip, identity"}
        content = {"error": "Validation failed", "details": details}
        raise Declined(Answer(415, content, ((b"accept-encoding", CODINGS),), "content_encoding")) from None
