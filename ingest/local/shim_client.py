"""Asks the shim that we started ourselves: directly, past any proxy, whatever its certificate says."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_PROBE_SECONDS: Final = 5
_REQUEST_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class ShimClient:
    """`headers` go with every request, to say who asks."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, path: str, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
        """Status and body of the answer. Raises OSError or http.client.HTTPException."""
        return self._ask(path, method, body, headers, _REQUEST_SECONDS)

    def is_ready(self) -> bool:
        """Whether /readyz says so: a ping has gone through the broker and a worker."""
        try:
            return self._ask("/readyz", "GET", None, {}, _PROBE_SECONDS)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def shakes_hands(self) -> bool:
        """Whether a TLS handshake gets as far as the shim's certificate; more is not to be had without one of ours."""
        parts = urlsplit(self.url)
        try:
            with (
                socket.create_connection((parts.hostname, parts.port), _PROBE_SECONDS) as line,
                _unverified().wrap_socket(line) as secured,
            ):
                return secured.getpeercert(binary_form=True) is not None
        except OSError:
            return False

    def _ask(
        self, path: str, method: str, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> tuple[int, str]:
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_unverified())
        )
        request = urllib.request.Request(self.url + path, data=body, method=method, headers={**headers, **self.headers})
        try:
            with opener.open(request, timeout=seconds) as response:
                return response.status, response.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode("utf-8", "replace")


def _unverified() -> ssl.SSLContext:
    # Our own child: whom its certificate is for, and by whom, is not in question.
    return ssl._create_unverified_context()
