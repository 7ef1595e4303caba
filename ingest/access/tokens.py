"""Tokens: secrets that name who holds them and what that one may do; only their hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.access.files import ABSENT, content
from ingest.http.negotiation import Fields
from schemas.settings import ConfigError

SCOPES: Final = ("actions", "runs", "read", "look", "operate")
"""What a token may be good for: POST actions, POST runs, GET; at the console: look, and change what is there."""

_ORGANIZATION: Final = "organization="
_NAME: Final = re.compile(r"[A-Za-z0-9_.@:-]{1,100}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_BEARER: Final = re.compile(rb"(?i:bearer) +([!-~]+)")
_ERLANG: Final = re.compile(rb'<<"([^"]*)">>')


@dataclass(frozen=True, slots=True)
class Token:
    """One line of the tokens file. `organizations` empty: any."""

    name: str
    digest: bytes
    scopes: frozenset[str]
    organizations: frozenset[str] = frozenset()


def parse_scopes(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Scopes and organizations of `actions,runs,organization=acme`. Raises ValueError in words for an operator."""
    words = [word for each in text.split(",") if (word := each.strip())]
    organizations = {word.removeprefix(_ORGANIZATION) for word in words if word.startswith(_ORGANIZATION)}
    scopes = {word for word in words if not word.startswith(_ORGANIZATION)}
    unknown = sorted(scopes - set(SCOPES))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(SCOPES)}, {_ORGANIZATION}NAME")
    if not scopes:
        raise ValueError(f"a token wants at least one of {', '.join(SCOPES)}")
    if "" in organizations:
        raise ValueError(f"{_ORGANIZATION} wants a name")
    return frozenset(scopes), frozenset(organizations)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tokens file said. `tokens` None: that can't be told, so nobody may be believed or refused for good."""

    tokens: tuple[Token, ...] | None
    faults: tuple[str, ...] = ()


def parse(text: str) -> Reading:
    """The tokens of a file: lines of NAME, SHA-256 in hexadecimal, SCOPES; `#` begins a comment.

    A line with a fault lets nobody in, and takes no other line along; none of the faults quotes a line, which may
    hold what should be a hash.
    """
    tokens: dict[str, Token] = {}
    digests: set[bytes] = set()
    faults: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            token = _token(words)
            if token.name in tokens:
                raise ValueError("the name is taken by a line above; a second token wants a second name")
            if token.digest in digests:
                raise ValueError("the same token as in a line above")
        except ValueError as error:
            faults.append(f"INGEST_TOKENS_FILE: tokens file, line {number}: {error}")
        else:
            tokens[token.name] = token
            digests.add(token.digest)
    return Reading(tuple(tokens.values()), tuple(faults))


def _token(words: list[str]) -> Token:
    if len(words) != 3:
        raise ValueError("a line is NAME HASH SCOPES; `chef-ingest token new` makes one")
    name, digest, scopes = words
    if not _NAME.fullmatch(name):
        raise ValueError("the name may hold letters, digits and _ . @ : -")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("the second word is no SHA-256 in hexadecimal; a token itself does not belong here")
    return Token(name, bytes.fromhex(digest), *parse_scopes(scopes))


def read(path: Path) -> Reading:
    """The tokens of a file as it is now. One that is gone denies everybody; one that can't be read tells nothing."""
    try:
        # What is no UTF-8 is no name, hash or scope either: a fault of its line.
        return parse(content(path).decode("utf-8", "replace"))
    except OSError as error:
        gone = error.errno in ABSENT
        return Reading(() if gone else None, (f"INGEST_TOKENS_FILE: {path}: {error.strerror}",))


def presented(fields: Fields) -> bytes | None:
    """The token that a request carries, None when it carries none."""
    match = _BEARER.fullmatch(fields.get(b"authorization", b""))
    return match[1] if match else fields.get(b"x-data-collector-token", fields.get(b"api-token"))


def refusal(secret: bytes) -> str:
    """Why a token that is none is not taken, for the log; never quotes it."""
    if _ERLANG.fullmatch(secret):
        # Chef servers of 2017 could be told to send it so [chef/chef-server#1281].
        return 'no such token: it is in the quotes of Erlang, <<"...">>, and wants to be set without them'
    return "no such token"


def is_misquoted(tokens: Sequence[Token], secret: bytes) -> bool:
    """Whether it would be one of these but for the quotes of Erlang around it."""
    quoted = _ERLANG.fullmatch(secret)
    return quoted is not None and find(tokens, quoted[1]) is not None


def find(tokens: Sequence[Token], secret: bytes) -> Token | None:
    """The token with this secret, in a time that does not depend on which one it is."""
    digest = hashlib.sha256(secret).digest()
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def new(name: str, scopes: str, *, secret: str | None = None) -> tuple[str, str]:
    """A fresh secret (or the given one) and its line for the tokens file. Raises ConfigError.

    Hashed once, without salt: 256 random bits can't be guessed from their hash.
    """
    secret = secrets.token_urlsafe(32) if secret is None else secret
    digest = hashlib.sha256(secret.encode()).hexdigest()
    try:
        if len(secret) < 32 or not re.fullmatch(r"[!-~]+", secret):
            raise ValueError("a token has at least 32 printable ASCII characters and no space")
        _token([name, digest, "".join(scopes.split())])
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return secret, f"{name} {digest} {''.join(scopes.split())}"
