"""The public keys of Chef clients and users: a folder of PEM files, read when first asked for."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_NAME: Final = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,199}")
"""Of organizations and clients [protocol.md 3.2]; no dot comes first, so none leads out of the folder."""
_LARGEST_FILE: Final = 16 * 1024


class _Known(NamedTuple):
    stamp: tuple[int, int, int]
    key: RSAPublicKey | None


class KeyFolder:
    """`ORGANIZATION/CLIENT.pem` for clients, `USER.pem` for users, who belong to no organization.

    A file that is replaced or deleted counts from the next request on. `most` bounds the keys kept in memory.
    """

    def __init__(self, folder: Path, *, most: int = 10_000) -> None:
        self._folder = folder
        self._most = most
        self._known: OrderedDict[Path, _Known] = OrderedDict()
        self._log = structlog.get_logger("ingest.access.keys")

    def find(self, organization: str | None, name: str) -> RSAPublicKey | None:
        """The key of a client (or of a user, without an organization); None when there is none to trust."""
        parts = [name] if organization is None else [organization, name]
        if not all(_NAME.fullmatch(part) for part in parts):
            return None
        path = self._folder.joinpath(*parts[:-1], f"{name}.pem")
        try:
            status = path.stat()
        except OSError:
            self._known.pop(path, None)
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path)
        if known is None or known.stamp != stamp:
            known = self._known[path] = _Known(stamp, self._read(path, status))
        self._known.move_to_end(path)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return known.key

    def _read(self, path: Path, status: os.stat_result) -> RSAPublicKey | None:
        try:
            if status.st_size > _LARGEST_FILE:
                raise ValueError("too large")
            key = _load(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no RSA public key in PEM"
            self._log.error("key_unreadable", path=str(path), why=why, remedy="put the client's public key there")
            return None
        return key


def _load(pem: bytes) -> RSAPublicKey:
    # Chef servers of old kept certificates for their clients.
    certificate = b"BEGIN CERTIFICATE" in pem
    key = x509.load_pem_x509_certificate(pem).public_key() if certificate else load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not RSA")
    return key
