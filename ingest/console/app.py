"""The console as an ASGI application: which view answers where, and what is said when one can't."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from consumers.dead_letters.errors import NoSuchCause, NoSuchLetter, NoSuchReplay, RepositoryError
from consumers.errors import Misconfigured, StoreUnavailable
from ingest.console import pages
from ingest.console.entrance import SESSION_SECONDS, Entrance, NotLetIn, Operator
from ingest.console.fence import COOKIE, LARGEST_EDIT, LARGEST_FORM, LOGIN, STATIC, Fence, TurnedAway, form
from ingest.console.live import numbers, stream
from ingest.console.pages import Shown
from ingest.console.views import CHANGES, CHECKS, FILES, VIEWS
from ingest.console.views.flow import flow, texts
from ingest.console.views.machine import Machine
from ingest.lookup.database import NotStored
from schemas.settings import Settings

_AT_ONCE: Final = 8
"""Views that run at a time, each with a connection to the database at most; the others wait."""
_VIEWS: Final = "views"
_BODIES: Final = frozenset({"body", "patch"})
"""Fields that the log does not tell: they are strangers' text."""
_NOT_THERE: Final = (NotStored, NoSuchLetter, NoSuchReplay, NoSuchCause)
_SESSION: Final[Mapping[str, Any]] = {"httponly": True, "secure": True, "samesite": "strict", "path": "/"}

_Handler = Callable[[Request], Awaitable[Response]]
_Change = Callable[[Machine, Operator, Mapping[str, str]], str | Shown | Response]
"""Where it leads, or what is to be said."""


def build(settings: Settings, machine: Machine) -> ASGIApp:
    """The application behind its fence. Raises ConfigError for a console that must not be reached like this."""
    entrance = Entrance(settings)
    console = Console(entrance, machine)
    routes: list[BaseRoute] = [Route(path, console.shows(view)) for path, view in VIEWS.items()]
    routes += [Route(path, console.shows(file)) for path, file in FILES.items()]
    routes += [
        Route("/live", console.live),
        Route(LOGIN, console.login_page, methods=["GET"]),
        Route(LOGIN, console.changes(console.login), methods=["POST"]),
        Route("/logout", console.changes(console.logout), methods=["POST"]),
        *(
            Route(path, console.changes(console.does(change), LARGEST_EDIT), methods=["POST"])
            for path, change in [*CHANGES.items(), *CHECKS.items()]
        ),
        Mount(STATIC, StaticFiles(directory=pages.HERE / "static")),
    ]
    handlers: Mapping[Any, Any] = dict.fromkeys((HTTPException, TurnedAway, Exception), console.failed)
    return Fence(Starlette(routes=routes, exception_handlers=handlers), entrance, settings.console_url)


class Console:
    """Runs views, renders what they show, and tells the log who looked at what."""

    def __init__(self, entrance: Entrance, machine: Machine) -> None:
        self._entrance = entrance
        self._machine = machine
        self._templates = pages.environment()
        self._log = structlog.get_logger("ingest.console")
        self._threads: dict[str, CapacityLimiter] = {}

    def shows(self, view: Callable[[Machine, Request], Shown | Response]) -> _Handler:
        """A handler that runs a view on a thread: views wait for databases."""

        async def handler(request: Request) -> Response:
            started = time.perf_counter()
            try:
                shown = await self._threaded(_seen, view, self._machine, request)
                answer = shown if isinstance(shown, Response) else self._render(request, shown)
            except TurnedAway:
                raise
            except Exception as error:
                answer = await self.failed(request, error)
            seconds = round(time.perf_counter() - started, 6)
            who, url = request.state.operator.name, request.url
            told = {"path": url.path, "query": url.query, "status": answer.status_code, "seconds": seconds}
            self._log.info("looked", who=who, **told)
            return answer

        return handler

    def changes(
        self, action: Callable[[Request, Mapping[str, str]], Awaitable[Response]], largest: int = LARGEST_FORM
    ) -> _Handler:
        """A handler of a form, which is our own, of this session; no other way leads to an action."""

        async def handler(request: Request) -> Response:
            return await action(request, await form(request, self._entrance, largest))

        return handler

    def does(self, change: _Change) -> Callable[[Request, Mapping[str, str]], Awaitable[Response]]:
        """An action on a thread: it makes a change and leads back to a page, or says what is; the log has who did."""

        async def action(request: Request, sent: Mapping[str, str]) -> Response:
            operator = request.state.operator
            done = await self._threaded(_done, change, self._machine, operator, sent)
            told = {name: text for name, text in sent.items() if name not in _BODIES}
            checked = "checked" if request.url.path in CHECKS else "not_changed"
            event = "changed" if isinstance(done, str) else checked
            self._log.info(event, who=operator.name, path=request.url.path, sent=told)
            if isinstance(done, Response):
                return done
            return self._render(request, done) if isinstance(done, Shown) else RedirectResponse(done, 303)

        return action

    async def live(self, request: Request) -> Response:
        # However many pages are open while the broker hangs: they wait for one look, and no view for them.
        return stream(lambda: to_thread.run_sync(self._numbers, limiter=self._limiter("live", 1)))

    def _numbers(self) -> Mapping[str, str]:
        found = self._machine.look()
        return numbers(found) | texts(flow(found))

    async def login_page(self, request: Request) -> Response:
        return self._login(request, request.query_params.get("to", "/"), "")

    async def login(self, request: Request, sent: Mapping[str, str]) -> Response:
        to = sent.get("to", "/")
        try:
            cookie = self._entrance.begin(sent.get("token", "").strip())
        except NotLetIn as error:
            self._log.warning("not_let_in", why=str(error))
            return self._login(request, to, str(error))
        operator = self._entrance.operator(cookie)
        self._log.info("let_in", who=operator.name if operator else "")
        # A path of ours, and not `//elsewhere`.
        answer = RedirectResponse(to if to.startswith("/") and not to.startswith("//") else "/", 303)
        answer.set_cookie(COOKIE, cookie, max_age=SESSION_SECONDS, **_SESSION)
        return answer

    async def logout(self, request: Request, _sent: Mapping[str, str]) -> Response:
        self._entrance.end(request.state.cookie)
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE, **_SESSION)
        return answer

    async def failed(self, request: Request, error: Exception) -> Response:
        """The page that says why there is none."""
        if isinstance(error, TurnedAway):
            return self._render(request, _error(error.status, str(error)))
        if isinstance(error, HTTPException):
            said = error.detail if error.detail != HTTPStatus(error.status_code).phrase else "There is no such page."
            return self._render(request, _error(error.status_code, said))
        self._log.error("view_failed", path=request.url.path, exc_info=error)
        return self._render(request, _error(500, "This is a fault of the console; its log says more."))

    def _login(self, request: Request, to: str, why: str) -> Response:
        return self._render(request, Shown("login.html", {"to": to, "why": why}, 401 if why else 200))

    def _render(self, request: Request, shown: Shown) -> Response:
        template = self._templates.get_template(shown.template)
        own = {
            "operator": request.state.operator,
            "asks": self._entrance.asks,
            "form_token": self._entrance.form_token(request.state.cookie),
            "path": request.url.path,
        }
        return HTMLResponse(template.render(own | dict(shown.facts)), shown.status)

    async def _threaded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await to_thread.run_sync(work, *arguments, limiter=self._limiter(_VIEWS, _AT_ONCE))

    def _limiter(self, name: str, most: int) -> CapacityLimiter:
        # A limiter is of the loop in which it is made.
        return self._threads.setdefault(name, CapacityLimiter(most))


def _done(change: _Change, machine: Machine, operator: Operator, sent: Mapping[str, str]) -> str | Shown | Response:
    """Where to go after a change, or why there was none."""
    try:
        return change(machine, operator, sent)
    except _NOT_THERE as missing:
        return _error(404, str(missing))
    except RepositoryError as refused:
        return _error(409, f"Nothing was done: {refused}.")
    except StoreUnavailable as error:
        return _unavailable(error)
    except Misconfigured as error:
        return _error(503, f"Nothing was done: {error}")


def _seen(view: Callable[[Machine, Request], Shown | Response], machine: Machine, request: Request) -> Shown | Response:
    """What a view shows, or why it can't."""
    try:
        return view(machine, request)
    except StoreUnavailable as error:
        return _unavailable(error)
    except _NOT_THERE as missing:
        return _error(404, str(missing))
    except RepositoryError as refused:
        return _error(409, str(refused))
    except Misconfigured as error:
        return _error(503, f"The database is not as the console needs it: {error}")


def _unavailable(error: StoreUnavailable) -> Shown:
    if getattr(error.__cause__, "sqlstate", None) == "57014":
        return _error(503, "The database took too long for this page: ask for a shorter time, or name an organization.")
    return _error(503, f"The database does not answer: {error}")


def _error(status: int, text: str) -> Shown:
    return Shown("error.html", {"title": HTTPStatus(status).phrase, "text": text}, status)
