"""Access tokens: what a user gets for a signature, to read with for a short while (RFC 6749, 5.1), and where."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from ingest.http.answers import Answer, fault
from ingest.http.requests import Request, Signer, forbidden
from ingest.http.routes import Route

PATHS: Final = ("/oauth/token", "/id/oauth/token", "/organizations/{organization}/oauth/token")
"""The second is what knife takes for the identity server of a Chef server."""

_LARGEST: Final = 1024
"""The body says nothing; it is read because its hash is signed."""
_SECONDS: Final = 3600
_PRIVATE: Final = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
_FORM: Final = re.compile(rb"ingest-read\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")
_PREFIX: Final = b"ingest-read."


class BadAccessToken(Exception):
    """It is none of ours, or no longer good; the message says why, for the log."""


class Grant(NamedTuple):
    """What an access token says: who signed for it, with which key, and when it ends, in seconds since 1970.

    `organization` is the only one that may be read; None: each that the user may read then.
    """

    user: str
    fingerprint: str
    organization: str | None
    ends: int


class AccessTokens:
    """Makes access tokens and reads them; nothing is kept of them, and they say nothing that keys don't bear out."""

    def __init__(self, secret: str, seconds: int, now: Callable[[], float]) -> None:
        """Without a secret one is made up: then tokens are good at this shim alone, until it ends."""
        self._key = secret.encode() if secret else secrets.token_bytes(32)
        self.seconds = seconds
        self._now = now

    def make(self, signer: Signer, organization: str | None) -> str:
        """A token for this user, good for `seconds` from now."""
        grant = Grant(*signer, organization, int(self._now()) + self.seconds)
        said = _encoded(msgspec.json.encode(grant))
        return (_PREFIX + said + b"." + self._mac(said)).decode()

    def read(self, token: bytes) -> Grant:
        """What a token of ours says. Raises BadAccessToken."""
        found = _FORM.fullmatch(token)
        if found is None or not hmac.compare_digest(found[2], self._mac(found[1])):
            raise BadAccessToken("an access token that was not made here, or with another secret")
        try:
            grant = msgspec.json.decode(base64.urlsafe_b64decode(found[1] + b"=="), type=Grant)
        except (binascii.Error, msgspec.MsgspecError):
            raise BadAccessToken("an access token of another version") from None
        if grant.ends <= self._now():
            raise BadAccessToken("an access token that has ended")
        return grant

    def _mac(self, said: bytes) -> bytes:
        return _encoded(hmac.digest(self._key, _PREFIX + said, hashlib.sha256))


def is_one(token: bytes) -> bool:
    """Whether it looks like an access token, and so is no line of the tokens file."""
    return token.startswith(_PREFIX)


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def routes(made: AccessTokens | None) -> list[Route]:
    """Where they are given to users, as knife-analytics asks for them: an OAuth without passwords.

    None: nobody is asked who they are, and a token opens nothing, for nothing is closed.
    """

    async def grant(request: Request) -> Answer:
        await request.body(_LARGEST)
        if request.query().get("grant_type", "password") != "password":
            return fault(400, "unsupported_grant_type", code="grant_type")
        if made is None:
            return _given(secrets.token_urlsafe(32), _SECONDS)
        if request.signer is None:
            raise forbidden(request, "no user's signature")
        return _given(made.make(request.signer, request.params.get("organization")), made.seconds)

    return [Route(path=path, method="POST", handler=grant, scope="read", owner="answer") for path in PATHS]


def _given(token: str, seconds: int) -> Answer:
    # The client reads a refresh token; there is none, for it can sign again.
    content = {"access_token": token, "token_type": "Bearer", "refresh_token": "", "expires_in": seconds}
    return Answer(200, content, _PRIVATE, "granted")
