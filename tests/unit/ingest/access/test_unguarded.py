"""What a shim that asks nobody refuses, and what it does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ingest.access.unguarded import Unguarded
from ingest.http.answers import Answer
from ingest.http.requests import Declined, Request
from ingest.http.routes import Route
from schemas.settings import Settings

HOST = {b"host": b"127.0.0.1:8080"}
PAGES = [{b"origin": b"https://evil.example"}, {b"origin": b"null"}, {b"origin": b""}] + [
    {b"sec-fetch-site": site} for site in (b"cross-site", b"same-site", b"Cross-Site", b"")
]
PROXIES = [
    {name: b"203.0.113.9"} for name in (b"x-forwarded-for", b"x-real-ip", b"via", b"x-forwarded", b"x-forwarded-server")
] + [
    {b"forwarded": value} for value in (b"for=203.0.113.9", b'proto=https;For="[::1]"', b"proto=http, for=_x", b"by=a")
]
FOREIGN = [
    b"evil.example",
    b"evil.example:8080",
    b"127.0.0.1.nip.io",
    b"a.b.",
    b"EVIL.example",
    b"[::1",
    b"x@evil.example",
]
NEAR = [b"127.0.0.1", b"[::1]:8080", b"localhost:8080", b"a.localhost", b"shim", b"shim.:8080", b"10.0.0.7:1", b""]


def refused(fields: dict[bytes, bytes], **settings: Any) -> str | None:
    try:
        Unguarded(Settings(**settings)).check(HOST | fields)
    except Declined as declined:
        content: Any = declined.answer.content
        assert "INGEST_AUTH" in content["error"]
        return declined.answer.code
    return None


@pytest.mark.parametrize("fields", PAGES)
def test_pages(fields: dict[bytes, bytes]) -> None:
    """What a web page makes a browser send is refused, whatever else the operator accepts."""
    assert refused(fields) == refused(fields, insecure_no_auth=True) == "web_page"


@pytest.mark.parametrize("fields", PROXIES)
def test_proxies(fields: dict[bytes, bytes]) -> None:
    """What came through a proxy is refused, unless the operator has said that anybody may come."""
    assert refused(fields) == "proxied"
    assert refused(fields, insecure_no_auth=True) is None


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_hosts(host: bytes) -> None:
    """A name that a stranger could let lead here is refused; the operator's own, told by a setting, is not."""
    assert refused({b"host": host}) == "foreign_host"
    assert refused({b"host": host}, insecure_no_auth=True) is None


def test_own_names() -> None:
    """Addresses, names of one label, localhost, and what the settings name are not foreign."""
    assert [host for host in NEAR if refused({b"host": host})] == []
    assert refused({b"host": b"ingest.example:443"}, public_url="https://Ingest.example/base") is None
    assert refused({b"host": b"shim.example"}, listen="shim.example:8080") is None
    assert refused({b"x-forwarded-proto": b"https", b"x-forwarded-host": b"ingest.example"}) is None
    assert refused({b"sec-fetch-site": b"none"}) is None


def test_public_routes_are_left_alone() -> None:
    """Probes go through whatever they carry; every other route is checked before its handler runs."""

    async def handler(request: Request) -> Answer:
        return Answer(200, {})

    unguarded = Unguarded(Settings())
    scopes = (None, "actions", "runs", "read")
    public, *others = [Route(path="/", method="GET", handler=handler, scope=scope) for scope in scopes]
    assert unguarded.wrap(public) is handler
    scope = {"method": "GET", "headers": [(b"origin", b"https://evil.example")]}
    for route in others:
        with pytest.raises(Declined):
            asyncio.run(unguarded.wrap(route)(Request(scope, None)))  # type: ignore[arg-type]
