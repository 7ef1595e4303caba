"""Who may ask what of the shim: tokens and Chef's signatures, told to clients as 401 or 403 and to the log in full."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from ingest.access import access_tokens, signatures, tokens
from ingest.access.access_tokens import AccessTokens, BadAccessToken
from ingest.access.keys import SHORT_REMEDY, KeyFolder, KeysUnavailable, fingerprint, short_keys_told
from ingest.access.principals import READS, NoKey, Principal, client, signed, user
from ingest.access.tls import Faults
from ingest.http.answers import Answer, fault
from ingest.http.requests import Declined, Request, Signer, forbidden
from ingest.http.routes import BY_KIND, Handler, Route
from schemas.settings import ConfigError, Settings

Event = MutableMapping[str, Any]
"""ASGI's: a part of a body, or the news that the client is gone."""
Receive = Callable[[], Awaitable[Event]]


class Guard:
    """Stands before every route that is not public. Made once; `reload` reads the tokens again."""

    def __init__(self, settings: Settings, *, now: Callable[[], float] = time.time) -> None:
        """Reads the tokens. Raises ConfigError with all that `auth` wants and is missing or unused."""
        check_settings(settings)
        self._settings = settings
        self._now = now
        self._log = structlog.get_logger("ingest.access.guard")
        self._keys: KeyFolder | None = None
        if settings.auth in ("signature", "any"):
            self._keys = KeyFolder(Path(settings.client_keys), now=now)
        self.access_tokens = AccessTokens(settings.access_token_secret, settings.access_token_seconds, now)
        self._tokens: tuple[tokens.Token, ...] | None = ()
        self.misquoted = False
        """Somebody presents a token of ours in the quotes of Erlang, and is refused; forgotten at a reload."""
        self.keyless = 0
        """Signed requests refused since there is no key for who signed them."""
        self._takes_tokens = settings.auth == "token" or (settings.auth == "any" and bool(settings.tokens_file))
        self._challenge = (b"www-authenticate", b"Bearer" if self._takes_tokens else b'X-Ops-Sign version="1.3"')
        if faults := self.reload():
            raise ConfigError([each for part in faults.values() for each in part])

    def reload(self) -> Faults:
        """Read the tokens file again, see that keys can be read; what is wrong, by part.

        Only what the file says now is let in: a faulty line lets nobody in, a file that is gone or empty neither.
        """
        faults: Faults = {}
        self.misquoted = False
        if self._takes_tokens:
            reading = tokens.read(Path(self._settings.tokens_file))
            self._tokens = reading.tokens
            if reading.faults:
                faults["tokens"] = reading.faults
        if self._keys is not None and (fault := self._keys.fault()):
            faults["keys"] = (fault,)
        return faults

    def tell_short_keys(self) -> None:
        """Name in the log the keys that are too short to be trusted, as the doctor does."""
        if self._keys is None:
            return
        try:
            told = short_keys_told(Path(self._settings.client_keys))
        except KeysUnavailable:
            return  # The reload itself says so.
        if told:
            structlog.get_logger("ingest.access.guard").warning("short_keys", why=told, remedy=SHORT_REMEDY)

    @property
    def token_names(self) -> list[str]:
        """Who is let in by a token now."""
        return [token.name for token in self._tokens or ()]

    @property
    def denies_all_tokens(self) -> bool:
        """Tokens are asked for, and none is good."""
        return self._takes_tokens and self._tokens == ()

    def wrap(self, route: Route) -> Handler:
        """The route's handler as it is reached through the guard; where anybody may ask, itself."""
        handler = route.handler
        if route.scope is None:
            return handler

        async def guarded(request: Request) -> Answer:
            principal = self._authenticate(request)
            request.facts["who"] = principal.name
            self._authorize(principal, route, request)
            return await handler(request)

        return guarded

    def _authenticate(self, request: Request) -> Principal:
        secret = tokens.presented(request.fields)
        if secret is not None and self._keys is not None and access_tokens.is_one(secret):
            return self._told(request, lambda keys: self._bearer(request, keys, secret))
        if secret is not None and self._takes_tokens:
            if self._tokens is None:
                raise _untold(request, "the tokens file can't be read")
            token = tokens.find(self._tokens, secret)
            if token is None:
                self.misquoted |= tokens.is_misquoted(self._tokens, secret)
                raise self._unknown(request, tokens.refusal(secret))
            return Principal(f"token {token.name}", token.scopes, token.organizations)
        if not signatures.is_signed(request.fields):
            raise self._unknown(request, "nothing presented")
        return self._told(request, lambda keys: self._signer(request, keys))

    def _told(self, request: Request, by_keys: Callable[[KeyFolder], Principal]) -> Principal:
        """Who it is by the keys. Raises Declined."""
        if self._keys is None:
            raise self._unknown(request, "nothing presented")
        try:
            return by_keys(self._keys)
        except (signatures.BadSignature, BadAccessToken) as error:
            raise self._unknown(request, str(error)) from None
        except KeysUnavailable as error:
            raise _untold(request, str(error)) from None

    def _signer(self, request: Request, keys: KeyFolder) -> Principal:
        claim = signatures.claim(request.method, request.scope["raw_path"], request.fields)
        request.facts["claims"] = claim.user[:200]
        if abs(self._now() - claim.at) > self._settings.signature_skew_seconds:
            raise signatures.BadSignature("X-Ops-Timestamp is too far from our clock")
        organization = request.params.get("organization")
        principal = client(keys, organization, claim)
        if principal is None:
            try:
                principal, key = user(keys, organization, claim.user, signed(claim))
            except NoKey:
                if organization is None or not keys.find(organization, claim.user):
                    self._tell_keyless(organization, claim.user)
                raise
            request.signer = Signer(claim.user, fingerprint(key))

        def check(body: bytes) -> None:
            try:
                claim.check_body(body)
            except signatures.BadSignature as error:
                raise self._unknown(request, str(error)) from None

        request.receive = _checked(request.receive, check)
        return principal

    def _tell_keyless(self, organization: str | None, name: str) -> None:
        """A node whose key nobody brought reports nothing, and nobody would miss it: that is counted, and no mere line
        among those of all requests."""
        self.keyless += 1
        remedy = "`chef-ingest keys sync` brings keys from a Chef server"
        self._log.warning("keyless", organization=organization, name=name[:200], total=self.keyless, remedy=remedy)

    def _bearer(self, request: Request, keys: KeyFolder, secret: bytes) -> Principal:
        """Who holds an access token may read what its user could read now, of its organization if it names one."""
        grant = self.access_tokens.read(secret)
        try:
            asked = grant.organization or request.params.get("organization")
            holder, _ = user(keys, asked, grant.user, lambda key: fingerprint(key) == grant.fingerprint)
        except signatures.BadSignature:
            raise BadAccessToken("an access token of a user whose key is gone") from None
        if grant.organization is None:
            return replace(holder, scopes=READS)
        return replace(holder, scopes=READS, organizations=frozenset({grant.organization}))

    def _authorize(self, principal: Principal, route: Route, request: Request) -> None:
        if route.scope == BY_KIND:
            request.scopes = principal.scopes
        elif route.scope not in principal.scopes:
            raise forbidden(request, f"not for {route.scope}")
        unsaid = principal.node if route.owner == "body" else None
        if principal.node is not None and request.params.get("node", unsaid) != principal.node:
            raise forbidden(request, "another node's")
        if not principal.organizations:
            return
        organization = request.params.get("organization")
        if organization is not None and organization not in principal.organizations:
            raise forbidden(request, "another organization's")
        if route.owner is not None:
            # A worker reads it in the body, the database in the row.
            request.speaks_for, request.speaks_as = tuple(sorted(principal.organizations)), principal.node
        elif organization is None:
            raise forbidden(request, "not for one organization")

    def _unknown(self, request: Request, why: str) -> Declined:
        request.facts["denied"] = why
        return Declined(fault(401, "not authenticated", code="unauthenticated", headers=(self._challenge,)))


def check_settings(settings: Settings) -> None:
    """Raises ConfigError where what is set for authentication does not fit together."""
    auth, faults = settings.auth, []
    if auth == "none" and (settings.tokens_file or settings.client_keys):
        faults.append("INGEST_AUTH: none, though there are tokens or keys; set token, signature or any")
    if auth == "token" and not settings.tokens_file:
        faults.append("INGEST_TOKENS_FILE: INGEST_AUTH is token, so name the file; `chef-ingest token new` helps")
    if auth in ("signature", "any") and not settings.client_keys:
        faults.append(f"INGEST_CLIENT_KEYS: INGEST_AUTH is {auth}, so name the folder of the clients' public keys")
    elif settings.client_keys and not Path(settings.client_keys).is_dir():
        faults.append(f"INGEST_CLIENT_KEYS: {settings.client_keys}: no such folder")
    if faults:
        raise ConfigError(faults)


def _checked(receive: Receive, check: Callable[[bytes], None]) -> Receive:
    """`receive`, with `check` called on the whole body before its last part is handed on."""
    parts = bytearray()

    async def checked() -> Event:
        event = await receive()
        if event["type"] == "http.request":
            body = event.get("body", b"")
            last = not event.get("more_body", False)
            if last and not parts:
                check(body)
            else:
                parts.extend(body)
                if last:
                    check(bytes(parts))
        return event

    return checked


def _untold(request: Request, why: str) -> Declined:
    """Who asks may be let in or not, which can't be told now: 503, which every client tries again."""
    request.facts["denied"] = why
    text = "who asks can't be told now; nothing is stored yet, send it again"
    return Declined(fault(503, text, code="untold", headers=((b"retry-after", b"2"),)))
