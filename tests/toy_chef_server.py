"""A Chef server as far as `keys sync` asks one: clients, members and their keys, told to whom a signature is good."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from signed_requests import new_key

from ingest.access.signatures import BadSignature, claim
from tests.throwaway_ca import Pair

USER = new_key()
"""Of rarity, who asks."""


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def write_user(folder: Path, key: rsa.RSAPrivateKey = USER) -> Path:
    """The file of her private key."""
    path = folder / "rarity.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


class ToyChefServer(ThreadingHTTPServer):
    """`owners`: clients/NAME or users/NAME, and the keys of each by name: PEM, or PEM with when it expires. `failing`
    answers a path so many times with a status of its own and what goes with it.
    """

    daemon_threads = True

    def __init__(self, pair: Pair | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owners: dict[str, dict[str, str | tuple[str, str]]] = {}
        self.failing: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        self.asked: Counter[str] = Counter()
        self.organization = "ponyville"
        self.scheme = "http"
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/organizations/{self.organization}"

    def handle_error(self, *_: Any) -> None:
        """Who trusts no certificate of ours hangs up."""

    def answer(self, path: str) -> Any:
        """What is at a path of the organization, None where nothing is."""
        parts = path.split("/")[1:]
        if parts == ["clients"]:
            return {name: f"{self.url}/clients/{name}" for name in self._names("clients")}
        if parts == ["users"]:
            return [{"user": {"username": name}} for name in self._names("users")]
        keys = self.owners.get("/".join(parts[:2]))
        if keys is None or parts[2:3] != ["keys"]:
            return None
        told = {name: key if isinstance(key, tuple) else (key, "infinity") for name, key in keys.items()}
        if len(parts) == 3:
            return [
                {"name": name, "uri": f"{self.url}{path}/{name}", "expired": until < "2026"}
                for name, (_, until) in told.items()
            ]
        if parts[3] not in told:
            return None
        return {"name": parts[3], "public_key": told[parts[3]][0], "expiration_date": told[parts[3]][1]}

    def _names(self, kind: str) -> list[str]:
        return [owner.partition("/")[2] for owner in self.owners if owner.startswith(f"{kind}/")]


class _Handler(BaseHTTPRequestHandler):
    server: ToyChefServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.removeprefix(f"/organizations/{self.server.organization}")
        self.server.asked[path] += 1
        if self.server.failing.get(path):
            self._send(*self.server.failing[path].pop(0))
            return
        if not self._signed():
            self._send(401, {}, b'{"error": ["Failed to authenticate"]}')
            return
        told = None if path == self.path else self.server.answer(path)
        self._send(404 if told is None else 200, {}, json.dumps(told).encode())

    def _signed(self) -> bool:
        fields = {name.lower().encode(): value.encode() for name, value in self.headers.items()}
        try:
            claimed = claim("GET", self.path.encode(), fields)
            claimed.verify(USER.public_key())
            claimed.check_body(b"")
        except BadSignature:
            return False
        return claimed.user == "rarity" and abs(time.time() - claimed.at) < 900

    def _send(self, status: int, fields: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | fields).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def chef_server(pair: Pair | None = None) -> Iterator[ToyChefServer]:
    """One that listens, over TLS where it has a certificate."""
    server = ToyChefServer(pair)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
