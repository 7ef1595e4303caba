"""What a shim that asks nobody still refuses: what a proxy lets in, and what a web page makes a browser send."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ingest.http.answers import Answer, fault
from ingest.http.negotiation import Fields
from ingest.http.requests import Declined, Request
from ingest.http.routes import Handler, Route
from schemas.address import parse
from schemas.settings import Settings

_SCHEMES_ONLY: Final = frozenset({b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"})
"""These say how URLs look outside, and nothing of where a request came from."""

_ASKS: Final = "this shim asks nobody who they are (INGEST_AUTH is none), so"


class Unguarded:
    """Stands where a guard would. Public routes are left alone: they tell nothing of anybody."""

    def __init__(self, settings: Settings) -> None:
        self._anybody = settings.insecure_no_auth or bool(settings.tls_client_ca)
        self._own = {_name(settings.public_url), parse(settings.listen).host.lower()}

    def wrap(self, route: Route) -> Handler:
        """The route's handler as it is reached through these checks."""
        handler = route.handler
        if route.scope is None:
            return handler

        async def checked(request: Request) -> Answer:
            self.check(request.fields)
            return await handler(request)

        return checked

    def check(self, fields: Fields) -> None:
        """Raises Declined: 403 for what came from a web page or through a proxy, 400 for a foreign Host.

        With INGEST_INSECURE_NO_AUTH, or where clients show certificates, proxies and names are the operator's affair;
        pages never are.
        """
        if b"origin" in fields or fields.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            text = f"{_ASKS} it takes nothing from web pages (Origin, Sec-Fetch-Site); set INGEST_AUTH"
            raise Declined(fault(403, text, code="web_page"))
        if self._anybody:
            return
        if _proxied(fields):
            text = f"{_ASKS} it takes nothing that came through a proxy (Forwarded, X-Forwarded-For); set INGEST_AUTH"
            raise Declined(fault(403, f"{text}, or accept it with INGEST_INSECURE_NO_AUTH", code="proxied"))
        host = _name("//" + fields.get(b"host", b"").decode("latin-1"))
        if host not in self._own and _foreign(host):
            text = f"{_ASKS} Host must be an address or a name of this network, not {host[:255]!r}"
            raise Declined(fault(400, f"{text}; set INGEST_PUBLIC_URL to it, or INGEST_AUTH", code="foreign_host"))


def _proxied(fields: Fields) -> bool:
    """Whether a header names somebody for whom a proxy sent this, or the proxy."""
    for name in fields:
        if name in (b"via", b"x-real-ip") or (name.startswith(b"x-forwarded") and name not in _SCHEMES_ONLY):
            return True
    pairs = fields.get(b"forwarded", b"").replace(b",", b";").split(b";")
    return any(pair.strip().lower().startswith((b"for", b"by")) for pair in pairs)


def _name(url: str) -> str:
    """The host of a URL, lower case, without a dot at its end; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return "?."


def _foreign(host: str) -> bool:
    """Whether a name may be one that a stranger lets lead here: of more than one label, and no address.

    A page under such a name may read what it gets, as its own (DNS rebinding).
    """
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        ip_address(host)
    except ValueError:
        return "." in host
    return False
