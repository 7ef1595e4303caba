"""Stands before every request: from where and from whom it comes, and what a browser may do with the answer."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.console.entrance import Entrance, Operator
from ingest.http.negotiation import Fields, fields
from ingest.http.query import parse

COOKIE: Final = "__Host-chef-ingest"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
LOGIN: Final = "/login"
STATIC: Final = "/static"
LARGEST_FORM: Final = 64 * 1024
LARGEST_EDIT: Final = 1024 * 1024
"""Of a form with a letter's body in it, whose bytes may take three each."""

_HEADERS: Final = {
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
_PROXIED: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")


class TurnedAway(Exception):
    """The request ends here, with this status and these words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Fence:
    """ASGI around the application. `url`: how browsers reach the console by a proxy; empty: directly."""

    def __init__(self, app: ASGIApp, entrance: Entrance, url: str) -> None:
        self._app = app
        self._entrance = entrance
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0].lower() not in _HEADERS]
                message = {**message, "headers": [*kept, *_HEADERS.items()]}
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        sent, method, path = fields(scope["headers"]), scope["method"], scope["path"]
        try:
            if not self._entrance.asks:
                _check_host(sent)
            self._check_site(scope, sent)
        except TurnedAway as refused:
            why = str(refused)
            structlog.get_logger("ingest.console").warning("refused", method=method, path=path, why=why)
            return PlainTextResponse(f"{why}\n", refused.status)
        cookie = cookie_in(sent)
        operator = self._entrance.operator(cookie)
        scope.setdefault("state", {}).update(operator=operator, cookie=cookie)
        if operator is not None or path == LOGIN or path.startswith(f"{STATIC}/"):
            return None
        if method not in SAFE_METHODS or path == "/live":
            return PlainTextResponse("not logged in\n", 401)
        wanted = path + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        return RedirectResponse(f"{LOGIN}?to={quote(wanted, safe='')}", 303)

    def _check_site(self, scope: Scope, sent: Fields) -> None:
        """Raises TurnedAway (403) for what the page of another site makes a browser send, but for links followed."""
        site = sent.get(b"sec-fetch-site")
        if scope["method"] in SAFE_METHODS:
            if site in (b"cross-site", b"same-site") and sent.get(b"sec-fetch-mode") != b"navigate":
                raise TurnedAway(403, "this is for the console's own pages, and not for other sites'")
            return
        own = self._url.encode() or scope["scheme"].encode() + b"://" + sent.get(b"host", b"")
        origin = sent.get(b"origin")
        # With `Referrer-Policy: no-referrer` browsers say `Origin: null` of our own forms (Fetch, 3.2): there only
        # Sec-Fetch-Site tells whose they are.
        allowed = (own, None, b"null") if site == b"same-origin" else (own,)
        if site not in (None, b"same-origin") or origin not in allowed:
            raise TurnedAway(403, "this form is not the console's own (Origin, Sec-Fetch-Site): nothing was done")


def require_operate(operator: Operator) -> None:
    """Raises TurnedAway (403) for one who may look only."""
    if not operator.operates:
        raise TurnedAway(403, "this token may look, and change nothing: that wants the scope operate")


def _check_host(sent: Fields) -> None:
    """Raises TurnedAway for a name that a stranger may let lead here (DNS rebinding), and for what came by a proxy."""
    if any(name in sent for name in _PROXIED):
        raise TurnedAway(
            403,
            "this console asks nobody who they are, so it takes nothing that came through a proxy; set "
            "INGEST_CONSOLE_URL to the proxy's https://NAME, and it asks for a token",
        )
    host = _name(sent.get(b"host", b"").decode("latin-1"))
    if not _is_own(host):
        text = "this console asks nobody who they are, so Host must be localhost or a loopback address"
        raise TurnedAway(421, f"{text}, not {host[:100]!r}; for another name set INGEST_CONSOLE_URL")


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_own(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def cookie_in(sent: Fields) -> str:
    """The session's cookie; empty where there is none."""
    try:
        # Two cookie fields were joined by a comma; they are a list by semicolons.
        found = SimpleCookie(sent.get(b"cookie", b"").decode("latin-1").replace(", ", "; ")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


async def form(request: Request, entrance: Entrance, largest: int = LARGEST_FORM) -> dict[str, str]:
    """The fields of one of our forms. Raises TurnedAway for what is none, or another session's."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise TurnedAway(413, f"a form has no more than {largest} bytes: nothing was done")
    try:
        sent = dict(parse(bytes(body)))
    except ValueError as error:
        raise TurnedAway(400, f"no form of the console: {error}") from None
    if not entrance.is_own_form(request.state.cookie, sent.pop("form", "")):
        raise TurnedAway(403, "this form is from before a login or a restart: load its page again; nothing was done")
    return sent
