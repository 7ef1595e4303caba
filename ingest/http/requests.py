"""One HTTP request as the handlers see it: its fields, its path's parts as text, its body within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote_to_bytes

from starlette.types import Receive, Scope

from ingest.http.answers import FORBIDDEN, Answer, fault
from ingest.http.negotiation import fields, valid_host, wants
from ingest.http.query import Query, parse

PROTOCOL_FIELD: Final = b"x-ops-reporting-protocol-version"
PROTOCOL_VERSION: Final = "0.1.0"


class Declined(Exception):
    """The request ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


def forbidden(request: Request, why: str) -> Declined:
    """403, and nothing of why but to the log."""
    request.facts["denied"] = why
    return Declined(FORBIDDEN)


class Signer(NamedTuple):
    """A user, and which key is the user's."""

    name: str
    fingerprint: str


class Disconnected(Exception):
    """The client went away before its body was complete; there is nobody to answer."""


class Request:
    """A request, and what the log line will say of it."""

    __slots__ = (
        "body_bytes", "correlation_id", "facts", "fields", "method", "params", "receive", "scope", "scopes",
        "signer", "speaks_as", "speaks_for",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.fields = fields(scope["headers"])
        self.params: Mapping[str, str] = {}
        self.body_bytes = 0
        self.correlation_id: str | None = None
        self.facts: dict[str, str] = {}
        self.speaks_for: tuple[str, ...] | None = None
        """The organizations that who asks may speak for, or read of; None: any."""
        self.speaks_as: str | None = None
        """The node that who asks is, and may speak for; None: any."""
        self.scopes: frozenset[str] | None = None
        """What who asks is good for, where the kind of what is posted tells which of it is needed; None: all."""
        self.signer: Signer | None = None
        """The user whose signature it bears; None: it bears none, or a client's."""

    @property
    def path(self) -> str:
        """The path as sent, still percent-encoded."""
        return str(self.scope["path"])

    def decode_params(self) -> None:
        """Percent-decode the path's parts. Raises Declined (400) where one is not UTF-8."""
        raw: Mapping[str, str] = self.scope.get("path_params", {})
        try:
            self.params = {
                name: unquote_to_bytes(value).decode() if "%" in value else value for name, value in raw.items()
            }
        except UnicodeDecodeError:
            raise Declined(fault(400, "the path is not UTF-8", code="path")) from None

    def wants(self, media: bytes) -> bool:
        """Whether its Accept field names this media type itself."""
        return wants(self.fields.get(b"accept"), media)

    def query(self) -> Query:
        """What stands behind the path, by name. Raises Declined (400) for what can't be told apart or is no text."""
        try:
            return parse(self.scope["query_string"])
        except ValueError as error:
            raise Declined(fault(400, str(error), code="query")) from None

    def base(self, public_url: str) -> str:
        """Scheme and authority for URLs in answers. Raises Declined (400) for a Host that can't be one."""
        if public_url:
            return public_url.rstrip("/")
        host = self.fields.get(b"host")
        if host is None:
            # Only HTTP/1.0 may leave it out: then we are what the client connected to.
            name, port = self.scope["server"]
            host = (f"[{name}]:{port}" if ":" in name else f"{name}:{port}").encode()
        elif not valid_host(host):
            raise Declined(fault(400, "the Host field is not a host", code="host"))
        return f"{self.scope['scheme']}://{host.decode()}"

    def check_protocol(self, *, strict: bool) -> None:
        """Raises Declined: 406 for a reporting protocol we don't speak, 404 for none where `strict`."""
        sent = self.fields.get(PROTOCOL_FIELD)
        versions = [] if sent is None else [sent.decode("latin-1")]
        if self.scope["query_string"]:
            query = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
            versions += query.get("protocol-version", [])
        if versions and set(versions) == {PROTOCOL_VERSION}:
            return
        details = {"X-Ops-Reporting-Protocol-Version": f"must be {PROTOCOL_VERSION}"}
        if versions:
            raise Declined(fault(406, "unknown reporting protocol version", details, code="protocol"))
        if strict:
            raise Declined(fault(404, "the reporting protocol version is missing", details, code="protocol"))

    async def body(self, limit: float) -> bytes:
        """The whole body, never parsed nor inflated.

        Raises Declined: 413 for more than `limit` bytes, and what the connection says of one that is slow, broken or
        too much to hold; Disconnected.
        """
        length = self.fields.get(b"content-length", b"0")
        # httptools lets only digits through, though any number of them.
        if len(length) > 18 or int(length) > limit:
            raise Declined(_too_large(limit))
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            return self._bounded(message.get("body", b""), limit)
        return await self._rest(message, limit)

    async def _rest(self, message: Mapping[str, object], limit: float) -> bytes:
        parts = bytearray()
        while message["type"] == "http.request":
            parts += message.get("body", b"")  # type: ignore[arg-type]
            self._bounded(parts, limit)
            if not message.get("more_body", False):
                return bytes(parts)
            message = await self.receive()
        raise Disconnected

    def _bounded(self, body: bytes | bytearray, limit: float) -> bytes:
        self.body_bytes = len(body)
        if len(body) > limit:
            raise Declined(_too_large(limit))
        return body  # type: ignore[return-value]


def _too_large(limit: float) -> Answer:
    details = {"body": f"is larger than {limit} bytes"}
    return Answer(413, {"error": "Validation failed", "details": details}, (), "too_large")
