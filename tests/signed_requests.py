"""Requests signed as Chef signs them: the captured ones, and ones of our own for every version."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Signed:
    """A request as it goes over the wire; header names in lower case."""

    method: str
    path: bytes
    fields: dict[bytes, bytes]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.fields.items()}


def captured() -> dict[str, Signed]:
    """The recorded requests whose signatures are whole, by client, scenario and kind."""
    found = {}
    for path in sorted((FIXTURES / "http").glob("*.json")):
        for request in json.loads(path.read_text())["requests"]:
            if request.get("signature_valid") is not False:
                found[f"{path.stem} {request['kind']} {request['seq']}"] = _captured(request)
    return found


def _captured(request: dict[str, Any]) -> Signed:
    fields = {name.lower().encode(): value.encode() for name, value in request["headers"]}
    return Signed(request["method"], request["path"].encode(), fields, base64.b64decode(request["body_base64"]))


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def sign(
    key: rsa.RSAPrivateKey, version: str, method: str, path: str, body: bytes, *, user: str, time: str, api: str = "1"
) -> Signed:
    """A request signed as mixlib-authentication does it, written from its documentation and not from our code."""
    algorithm = hashlib.sha256 if version == "1.3" else hashlib.sha1

    def digest(data: bytes) -> str:
        return base64.b64encode(algorithm(data).digest()).decode()

    if version == "1.3":
        text = (
            f"Method:{method}\nPath:{path}\nX-Ops-Content-Hash:{digest(body)}\nX-Ops-Sign:version=1.3\n"
            f"X-Ops-Timestamp:{time}\nX-Ops-UserId:{user}\nX-Ops-Server-API-Version:{api}"
        )
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        name = digest(user.encode()) if version == "1.1" else user
        text = (
            f"Method:{method}\nHashed Path:{digest(path.encode())}\nX-Ops-Content-Hash:{digest(body)}\n"
            f"X-Ops-Timestamp:{time}\nX-Ops-UserId:{name}"
        )
        signature = _raw(key, text.encode())
    encoded = base64.b64encode(signature)
    fields = {
        b"x-ops-sign": f"algorithm={'sha256' if version == '1.3' else 'sha1'};version={version};".encode(),
        b"x-ops-userid": user.encode(),
        b"x-ops-timestamp": time.encode(),
        b"x-ops-content-hash": digest(body).encode(),
        b"x-ops-server-api-version": api.encode(),
    }
    lines = [encoded[start : start + 60] for start in range(0, len(encoded), 60)]
    fields |= {f"x-ops-authorization-{number}".encode(): line for number, line in enumerate(lines, 1)}
    return Signed(method, path.encode(), fields, body)


def _raw(key: rsa.RSAPrivateKey, text: bytes) -> bytes:
    """RSA PKCS#1 type 1 over the text itself, as Ruby's private_encrypt does."""
    size = key.key_size // 8
    block = b"\x00\x01" + b"\xff" * (size - len(text) - 3) + b"\x00" + text
    numbers = key.private_numbers()
    return pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(size)
