"""The public keys of Chef clients and users: a folder of files, each read when first asked for."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from ingest.access.files import ABSENT

LEAST_BITS: Final = 2048
"""Chef has made no shorter key since its first releases; shorter ones have been factored or soon will be."""

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
_EXPIRES: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})Z?")
_NAME: Final = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,199}")
"""Of organizations and clients [protocol.md 3.2]; no dot comes first, so none leads out of the folder."""
MEMBERS: Final = "users"
"""The folder with an organization's members; a client of that name is a file."""
_FILES: Final = ("*.pem", "*/*.pem", f"*/{MEMBERS}/*.pem")
"""Users, clients, and members, who are users in an organization."""
LARGEST_FILE: Final = 16 * 1024
SHORT_REMEDY: Final = "give each client a new key: knife client key create"
_SHOWN: Final = 10


class KeysUnavailable(Exception):
    """Whether there is such a key can't be told now; the message says why, for the log."""


class DatedKey(NamedTuple):
    """A public key, and until when it counts, in seconds since 1970."""

    public: RSAPublicKey
    until: float


class ShortKey(ValueError):
    """An RSA key of so few `bits` that it is none to trust."""

    def __init__(self, bits: int) -> None:
        super().__init__(f"an RSA key of {bits} bits is too short: at least {LEAST_BITS}")
        self.bits = bits


class _Known(NamedTuple):
    stamp: tuple[int, ...]
    keys: tuple[DatedKey, ...]


class KeyFolder:
    """`ORGANIZATION/CLIENT.pem` for clients, `ORGANIZATION/users/USER.pem` for members, and `USER.pem` for users who
    belong to no organization.

    A file may hold several keys. One that is replaced or deleted counts from the next request on. `most` bounds the
    files kept in memory, which are kept as they were read and never as they were not.
    """

    def __init__(self, folder: Path, *, most: int = 10_000, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._most = most
        self._now = now
        self._known: OrderedDict[Path, _Known] = OrderedDict()
        self._log = structlog.get_logger("ingest.access.keys")

    def find(self, organization: str | None, name: str) -> tuple[RSAPublicKey, ...]:
        """The keys of a client (or of a user, without an organization) that count now; empty when there is none to
        trust. Raises KeysUnavailable.
        """
        return self._find([] if organization is None else [organization], name)

    def member(self, organization: str, name: str) -> tuple[RSAPublicKey, ...]:
        """The keys of a user as a member of this organization. Raises KeysUnavailable."""
        return self._find([organization, MEMBERS], name)

    def organizations(self) -> list[str]:
        """Those that have a folder. Raises KeysUnavailable."""
        try:
            with os.scandir(self._folder) as entries:
                return sorted(each.name for each in entries if names_a_file(each.name) and each.is_dir())
        except OSError as error:
            raise KeysUnavailable(f"the keys can't be read: {error.strerror}") from None

    def _find(self, folders: Sequence[str], name: str) -> tuple[RSAPublicKey, ...]:
        if not all(names_a_file(part) for part in (*folders, name)):
            return ()
        path = self._folder.joinpath(*folders, f"{name}.pem")
        try:
            known = self._look(path)
        except OSError as error:
            self._known.pop(path, None)
            if error.errno in ABSENT and self._folder.is_dir():
                return ()
            self._log.error("key_unread", path=str(path), why=error.strerror, remedy="see that the shim can read it")
            raise KeysUnavailable(f"the keys can't be read: {error.strerror}") from None
        self._known.move_to_end(path)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        now = self._now()
        return tuple(key.public for key in known.keys if now < key.until)

    def fault(self) -> str | None:
        """Why no key can be looked up at all, None when they can."""
        try:
            next(self._folder.iterdir(), None)
        except OSError as error:
            return f"INGEST_CLIENT_KEYS: {self._folder}: {error.strerror}"
        return None

    def _look(self, path: Path) -> _Known:
        """What is known of a file as it is now. Raises OSError where that can't be told."""
        status = path.stat()
        # The time of the last change of any kind counts too: a copy may bring its old time along.
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)
        known = self._known.get(path)
        if known is not None and known.stamp == stamp:
            return known
        try:
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
                raise ValueError("it is no file, or too large for a key")
            keys = parse(path.read_bytes())
        except ValueError as error:
            keys, why = (), str(error)
            self._log.error("key_unreadable", path=str(path), why=why, remedy="put the client's public key there")
        found = self._known[path] = _Known(stamp, keys)
        return found


def names_a_file(name: str) -> bool:
    """Whether this organization, client or user can have a key in the folder: any other name could lead out of it."""
    return _NAME.fullmatch(name) is not None


def short_keys(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files of a folder of keys that hold RSA keys too short to be trusted, and how many bits those have.

    Raises KeysUnavailable where the folder or one of its files can't be read.
    """
    try:
        next(folder.iterdir(), None)  # What can't be listed, a glob takes for empty.
        for path in sorted(path for kind in _FILES for path in folder.glob(kind)):
            if path.is_file() and path.stat().st_size <= LARGEST_FILE:
                try:
                    parse(path.read_bytes())
                except ShortKey as error:
                    yield path, error.bits
                except ValueError:
                    continue  # It is none at all, and said to be so when its client comes.
    except OSError as error:
        raise KeysUnavailable(f"the keys can't be read: {error.filename}: {error.strerror}") from None


def short_keys_told(folder: Path) -> str:
    """Which keys of a folder are too short, in a sentence; empty where none is. Raises KeysUnavailable."""
    short = list(short_keys(folder))
    if not short:
        return ""
    named = ", ".join(f"{path.relative_to(folder)} ({bits} bits)" for path, bits in short[:_SHOWN])
    more = f" and {len(short) - _SHOWN} more" if len(short) > _SHOWN else ""
    return f"RSA keys of fewer than {LEAST_BITS} bits in {folder}, whose clients are answered 401: {named}{more}"


def parse(content: bytes) -> tuple[DatedKey, ...]:
    """The keys in a file, one at least. Raises ValueError, in words, for what is none to trust: then none is."""
    if content.lstrip()[:1] in (b"{", b"["):
        return _of_json(content)
    keys = tuple(DatedKey(_public(block[0]), math.inf) for block in _BLOCK.finditer(content))
    if not keys:
        raise ValueError("it holds no RSA public key in PEM")
    return keys


def until(expiration: Any) -> float:
    """When a key with this `expiration_date` of Chef's ends. Raises ValueError for what is none."""
    if expiration is None or expiration == "infinity":
        return math.inf
    match = _EXPIRES.fullmatch(expiration) if isinstance(expiration, str) else None
    if match is None:
        raise ValueError("its expiration_date is none")
    return datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()


def _of_json(content: bytes) -> tuple[DatedKey, ...]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is neither PEM nor the JSON of a key") from None
    listed = told if isinstance(told, list) else [told]
    if not listed:
        raise ValueError("it lists no key")
    return tuple(_of_member(each) for each in listed)


def _of_member(told: Any) -> DatedKey:
    pem = told.get("public_key") if isinstance(told, dict) else None
    if not isinstance(pem, str):
        raise ValueError("its JSON has no public_key: `knife client key show CLIENT default -F json` prints one")
    return DatedKey(_public(pem.encode("utf-8", "replace")), until(told.get("expiration_date")))


def _public(pem: bytes) -> RSAPublicKey:
    # Chef servers of old kept certificates for their clients.
    certificate = b"BEGIN CERTIFICATE" in pem
    try:
        key = x509.load_pem_x509_certificate(pem).public_key() if certificate else load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it holds no RSA public key in PEM") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("it holds no RSA public key in PEM")
    if key.key_size < LEAST_BITS:
        raise ShortKey(key.key_size)
    return key


def fingerprint(key: RSAPublicKey) -> str:
    """SHA-256 of a key, in hexadecimal: the same for one key in whatever file."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
