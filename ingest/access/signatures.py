"""Chef's signed requests (X-Ops-*, versions 1.0, 1.1, 1.3): what one claims, if a key bears it out, and our own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from ingest.http.negotiation import Fields

# Nothing is trimmed or guessed: what these let through has one spelling, so that no bit of it can change.
_SIGN: Final = re.compile(rb"(?:algorithm=(sha1|sha256);)?version=(1\.0|1\.1|1\.3);?")
_TIME: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_DIGESTS: Final[dict[bytes, tuple[bytes, Callable[..., Any]]]] = {
    b"1.0": (b"sha1", hashlib.sha1),
    b"1.1": (b"sha1", hashlib.sha1),
    b"1.3": (b"sha256", hashlib.sha256),
}
_LINE: Final = 60
"""Characters of an X-Ops-Authorization-N."""
_MOST_LINES: Final = 40
"""Of them: room for a key of 14,000 bits."""


class BadSignature(Exception):
    """The request is not what its signer signed; the message says in what, for the log."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed request says of itself: nothing of it is true before `verify`.

    `at` is in seconds since 1970; `content_hash` is the header field's value; `text` is what was signed.
    """

    user: str
    at: float
    content_hash: bytes
    text: bytes
    signature: bytes
    version: bytes

    def verify(self, key: RSAPublicKey) -> None:
        """Raises BadSignature unless the holder of the private key signed this."""
        try:
            if self.version == b"1.3":
                key.verify(self.signature, self.text, PKCS1v15(), hashes.SHA256())
                return
            # 1.0 and 1.1 "encrypt" the text itself with the private key; there is no digest around it.
            signed = key.recover_data_from_signature(self.signature, PKCS1v15(), None)
        except (InvalidSignature, ValueError):
            raise BadSignature("the signature is not of this key") from None
        if signed != self.text:
            raise BadSignature("something else was signed")

    def check_body(self, body: bytes) -> None:
        """Raises BadSignature unless `body`, as received, is the one that was signed."""
        if _digest(self.version, body) != self.content_hash:
            raise BadSignature("the body is not the one that was signed")


def claim(method: str, path: bytes, fields: Fields) -> Claim:
    """What a request claims; `path` is as sent, without the query.

    Raises BadSignature where a field is missing or malformed.
    """
    version = _version(_required(fields, b"x-ops-sign"))
    user = _required(fields, b"x-ops-userid")
    time = _required(fields, b"x-ops-timestamp")
    content_hash = _required(fields, b"x-ops-content-hash")
    api_version = fields.get(b"x-ops-server-api-version", b"0")
    path = re.sub(rb"/+", b"/", path)
    path = path.removesuffix(b"/") or b"/"
    if version == b"1.3":
        lines = _lines(method, path, content_hash, time, user, api_version)
    else:
        lines = [
            b"Method:" + method.encode(),
            b"Hashed Path:" + _digest(version, path),
            b"X-Ops-Content-Hash:" + content_hash,
            b"X-Ops-Timestamp:" + time,
            b"X-Ops-UserId:" + (_digest(version, user) if version == b"1.1" else user),
        ]
    try:
        name = user.decode()
    except UnicodeDecodeError:
        raise BadSignature("X-Ops-Userid is not UTF-8") from None
    return Claim(name, _seconds(time), content_hash, b"\n".join(lines), _signature(fields), version)


def sign(key: RSAPrivateKey, method: str, path: str, *, user: str, at: float) -> dict[str, str]:
    """The header fields that sign a request without a body, by version 1.3. `path` is as sent, without the query and
    without slashes in a row or at its end; `at` is in seconds since 1970.
    """
    fields = {
        "X-Ops-Sign": "algorithm=sha256;version=1.3;",
        "X-Ops-Userid": user,
        "X-Ops-Timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "X-Ops-Content-Hash": _digest(b"1.3", b"").decode(),
        "X-Ops-Server-API-Version": "1",
    }
    _, user_id, time, content_hash, api_version = (value.encode() for value in fields.values())
    text = b"\n".join(_lines(method, path.encode(), content_hash, time, user_id, api_version))
    signature = base64.b64encode(key.sign(text, PKCS1v15(), hashes.SHA256())).decode()
    pieces = [signature[start : start + _LINE] for start in range(0, len(signature), _LINE)]
    return fields | {f"X-Ops-Authorization-{number}": piece for number, piece in enumerate(pieces, 1)}


def is_signed(fields: Fields) -> bool:
    """Whether a request claims to be signed at all."""
    return b"x-ops-sign" in fields


def _lines(method: str, path: bytes, content_hash: bytes, time: bytes, user: bytes, api_version: bytes) -> list[bytes]:
    """What version 1.3 signs."""
    return [
        b"Method:" + method.encode(),
        b"Path:" + path,
        b"X-Ops-Content-Hash:" + content_hash,
        b"X-Ops-Sign:version=1.3",
        b"X-Ops-Timestamp:" + time,
        b"X-Ops-UserId:" + user,
        b"X-Ops-Server-API-Version:" + api_version,
    ]


def _version(description: bytes) -> bytes:
    match = _SIGN.fullmatch(description)
    if match is None:
        raise BadSignature("X-Ops-Sign is none of versions 1.0, 1.1, 1.3")
    version = match[2]
    if match[1] not in (None, _DIGESTS[version][0]):
        raise BadSignature("X-Ops-Sign names another algorithm than its version's")
    return version


def _required(fields: Fields, name: bytes) -> bytes:
    value = fields.get(name)
    if value is None:
        raise BadSignature(f"{name.decode()} is missing")
    return value


def _seconds(time: bytes) -> float:
    if not _TIME.fullmatch(time):
        raise BadSignature("X-Ops-Timestamp is no time")
    try:
        return datetime.strptime(time.decode(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise BadSignature("X-Ops-Timestamp is no time") from None


def _signature(fields: Fields) -> bytes:
    lines: list[bytes] = []
    while (line := fields.get(b"x-ops-authorization-%d" % (len(lines) + 1))) is not None:
        lines.append(line)
        if len(lines) > _MOST_LINES:
            raise BadSignature("X-Ops-Authorization is too long")
    text = b"".join(lines)
    try:
        signature = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise BadSignature("X-Ops-Authorization is no base64") from None
    # The last character has bits that decoding ignores.
    if not signature or base64.b64encode(signature) != text:
        raise BadSignature("X-Ops-Authorization is no base64")
    return signature


def _digest(version: bytes, data: bytes) -> bytes:
    hashed = _DIGESTS[version][1](data, usedforsecurity=False).digest()
    return base64.b64encode(hashed)
