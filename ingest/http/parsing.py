"""HTTP/1.1 as bytes to events, by httptools: heads of a limited size, trailers forgotten, offers to upgrade ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import httptools

from ingest.http.answers import Answer, fault
from ingest.http.negotiation import elements

_FIELD_COST, _REQUEST_COST = 128, 2048
"""What a header field and a request take beside their bytes."""
_NO_HTTP: Final = fault(400, "this is no HTTP/1.1", code="framing")
_FRAMING: Final = (b"content-length", b"transfer-encoding")


class Unreadable(Exception):
    """What comes after this can't be read, and `answer` says why. Raised in a callback it leaves the parser, too."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class RequestHead(NamedTuple):
    """A request line and its header fields, as an ASGI scope; `cost` is the bytes that holding them takes."""

    scope: dict[str, Any]
    keep_alive: bool
    expects: bool
    cost: int


class Heard(Protocol):
    """Who is told of a request what the bytes say, in their order."""

    def on_head(self, head: RequestHead) -> None:
        """A request has begun. May raise Unreadable."""

    def on_body(self, body: bytes) -> None:
        """So much of its body."""

    def on_complete(self) -> None:
        """It is here to the end."""


class Parser:
    """One connection's. `begun`: a request has begun whose head is not complete. `scope` is what all heads have."""

    def __init__(self, heard: Heard, header_bytes: int, scope: Mapping[str, Any]) -> None:
        self._heard = heard
        self._header_bytes = header_bytes
        self._scope = scope
        # httptools looks its callbacks up here once: bodies take no way round.
        self.on_body = heard.on_body
        self.begun = False
        self._in_body = self._resumed = self._offered = False
        self._keep_alive = True
        self._trailers = 0
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, piece: memoryview) -> int:
        """How many bytes of it were read: all, unless an offer to upgrade is in it. Raises Unreadable."""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_offer()
            return int(upgrade.args[0])
        except httptools.HttpParserError as error:
            raise _unreadable(error) from None
        return len(piece)

    def _ignore_offer(self) -> None:
        """An offer that is not taken changes nothing (RFC 9110, 7.8): its body is a body all the same."""
        self._parser = httptools.HttpRequestParser(self)
        self._offered, self._resumed = False, True
        lines = b"".join(b"%s: %s\r\n" % field for field in self._fields if field[0] in _FRAMING)
        closing = b"" if self._keep_alive else b"connection: close\r\n"
        try:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + lines + closing + b"\r\n")
        except httptools.HttpParserError as error:
            raise _unreadable(error) from None

    # What httptools calls.

    def on_message_begin(self) -> None:
        if not self._resumed:
            self.begun = True
            self._url, self._fields, self._trailers = b"", [], 0

    def on_url(self, url: bytes) -> None:
        if not self._resumed:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            self._fields.append((name.lower(), value))
        elif not self._resumed:
            # A trailer field is no header field: it is counted and forgotten.
            self._trailers += len(name) + len(value) + 4
            if self._trailers > self._header_bytes:
                raise Unreadable(fault(431, "the trailer fields are too large", code="header"))

    def on_headers_complete(self) -> None:
        self.begun = False
        if self._resumed:
            self._resumed = False
            return
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._fields)
        if size > self._header_bytes:
            raise Unreadable(fault(431, "the header is too large", code="header"))
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise Unreadable(_NO_HTTP)
        scope = self._request(version, parser.get_method().decode("ascii"))
        self._offered = parser.should_upgrade()
        self._keep_alive = version != "1.0" and parser.should_keep_alive()
        expects = version == "1.1" and any(
            name == b"expect" and b"100-continue" in elements(value.lower()) for name, value in self._fields
        )
        cost = size + _FIELD_COST * len(self._fields) + _REQUEST_COST
        self._heard.on_head(RequestHead(scope, self._keep_alive, expects, cost))
        self._in_body = True

    def _request(self, version: str, method: str) -> dict[str, Any]:
        try:
            url = httptools.parse_url(self._url)
            raw = url.path
            path = raw.decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError):
            raise Unreadable(fault(400, "the target of the request is no URL", code="framing")) from None
        return {
            **self._scope, "http_version": version, "method": method, "path": path, "raw_path": raw,
            "query_string": url.query or b"", "headers": self._fields, "state": {},
        }  # fmt: skip

    def on_message_complete(self) -> None:
        if not self._offered:
            self._in_body = False
            self._heard.on_complete()


def _unreadable(error: httptools.HttpParserError) -> Unreadable:
    why = error.__context__
    return why if isinstance(why, Unreadable) else Unreadable(_NO_HTTP)
