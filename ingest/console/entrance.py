"""Who may come in: on loopback whoever can reach it, elsewhere who shows a token, for as long as that is good."""

from __future__ import annotations

import base64
import binascii
import getpass
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ingest.access import tokens
from ingest.access.exposure import is_loopback
from schemas.address import parse
from schemas.settings import ConfigError, Settings

LOOK: Final = "look"
OPERATE: Final = "operate"
SESSION_SECONDS: Final = 12 * 3600

_EVERYTHING: Final = frozenset({LOOK, OPERATE})


class Operator(NamedTuple):
    """Who looks, by the name that logs and histories have, and what for: LOOK, OPERATE."""

    name: str
    scopes: frozenset[str]

    @property
    def operates(self) -> bool:
        """Whether this one may change something."""
        return OPERATE in self.scopes


class NotLetIn(Exception):
    """The token opens nothing here; the message says why, to whoever showed it."""


class _Session(NamedTuple):
    """What a cookie says. `digest` is the beginning of the token's, so that a new token of the name is another one."""

    name: str
    digest: str
    ends: int
    number: str


def asks(settings: Settings) -> bool:
    """Whether the console asks who is there: beyond loopback, and where a proxy leads to it."""
    return bool(settings.console_url) or not is_loopback(settings.console_listen)


def check(settings: Settings) -> None:
    """Raises ConfigError for a console that others could reach without a token, or whose tokens could be overheard."""
    try:
        parse(settings.console_listen)
    except ValueError as error:
        raise ConfigError([f"INGEST_CONSOLE_LISTEN: {error}"]) from None
    if not asks(settings):
        return
    reached = f"INGEST_CONSOLE_LISTEN: {settings.console_listen} can be reached from other machines"
    if settings.console_url:
        reached = f"INGEST_CONSOLE_URL: a proxy leads to the console as {settings.console_url}"
    faults = []
    if not settings.tokens_file:
        faults.append(
            f"{reached}, and anybody could look there: name a file of tokens in INGEST_TOKENS_FILE "
            f"(`chef-ingest token new NAME --scope look,operate` makes a line), or listen on 127.0.0.1"
        )
    if not settings.tls_certificate and not is_loopback(settings.console_listen):
        faults.append(
            f"INGEST_CONSOLE_LISTEN: {settings.console_listen} can be reached from other machines, and tokens and "
            "bodies could be overheard: set INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY, or listen on 127.0.0.1"
        )
    if faults:
        raise ConfigError(faults)


class Entrance:
    """Lets operators in. Sessions are said by their cookies and end with this process, their 12 hours, their token."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        """Raises ConfigError as `check` does."""
        check(settings)
        self.asks = asks(settings)
        self._file = Path(settings.tokens_file)
        self._now = now
        self._key = secrets.token_bytes(32)
        self._ended: dict[str, int] = {}

    def begin(self, secret: str) -> str:
        """A session's cookie for a token. Raises NotLetIn."""
        held = self._tokens()
        if held is None:
            raise NotLetIn("the tokens file can't be read now; the console's machine has to mend it")
        found = tokens.find(held, secret.encode())
        if found is None:
            raise NotLetIn("no such token")
        if found.organizations:
            raise NotLetIn("this token is for some organizations only, and the console shows all of them")
        if not found.scopes & _EVERYTHING:
            raise NotLetIn("this token is not for the console: it wants the scope look, and operate to change anything")
        session = _Session(
            found.name, found.digest.hex()[:16], int(self._now()) + SESSION_SECONDS, secrets.token_hex(8)
        )
        said = base64.urlsafe_b64encode(msgspec.json.encode(session)).decode()
        return f"{said}.{self._mac('session', said)}"

    def operator(self, cookie: str) -> Operator | None:
        """Who comes with this cookie, None for nobody; where nobody is asked, whoever runs this process."""
        if not self.asks:
            return Operator(_own_name(), _EVERYTHING)
        session = self._read(cookie)
        if session is None:
            return None
        for token in self._tokens() or ():
            if (token.name, token.digest.hex()[:16]) == (session.name, session.digest) and not token.organizations:
                scopes = token.scopes & _EVERYTHING
                return Operator(token.name, scopes | {LOOK}) if scopes else None
        return None

    def end(self, cookie: str) -> None:
        """The session of this cookie is over, though somebody may have kept the cookie."""
        session, now = self._read(cookie), self._now()
        self._ended = {number: ends for number, ends in self._ended.items() if ends > now}
        if session is not None:
            self._ended[session.number] = session.ends

    def form_token(self, cookie: str) -> str:
        """What a form of this session carries: no other site can know it."""
        return self._mac("form", cookie)

    def is_own_form(self, cookie: str, token: str) -> bool:
        """Whether a form is one of this session's."""
        return hmac.compare_digest(self.form_token(cookie).encode(), token.encode())

    def _read(self, cookie: str) -> _Session | None:
        said, _, mac = cookie.partition(".")
        if not hmac.compare_digest(self._mac("session", said).encode(), mac.encode()):
            return None
        try:
            session = msgspec.json.decode(base64.urlsafe_b64decode(said), type=_Session)
        except (binascii.Error, msgspec.MsgspecError):
            return None
        return session if session.ends > self._now() and session.number not in self._ended else None

    def _tokens(self) -> tuple[tokens.Token, ...] | None:
        # Read each time: who is struck out of the file is out.
        return tokens.read(self._file).tokens

    def _mac(self, purpose: str, said: str) -> str:
        return hmac.digest(self._key, f"{purpose} {said}".encode(), hashlib.sha256).hex()


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
