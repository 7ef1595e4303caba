"""Asks the shim of this machine how it is, by what it tells everybody: /readyz."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.request
from typing import Any, Final

from schemas.settings import Settings

_TIMEOUT_SECONDS: Final = 4


def own_url(settings: Settings) -> str:
    """Where a shim with these settings listens, as this machine reaches it."""
    host, _, port = settings.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    return f"{'https' if settings.tls_certificate else 'http'}://{host}:{port}"


def opener() -> urllib.request.OpenerDirector:
    """What asks shims: no proxy, any certificate, and every status is an answer."""
    # Nothing is sent that were a secret, and what comes back is shown only.
    context = ssl._create_unverified_context()
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _AnyStatus()
    )


def look_at_shim(url: str) -> dict[str, Any]:
    """Its answer and its `url`; empty where no shim answers (there may be none here, or it wants a certificate)."""
    try:
        with opener().open(f"{url}/readyz", timeout=_TIMEOUT_SECONDS) as response:
            found = json.loads(response.read(65536))
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    return found | {"url": url} if isinstance(found, dict) and "ready" in found else {}


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """A shim that is not ready answers 503, which is an answer; a redirect is none of ours."""

    def http_response(self, _request: Any, response: Any) -> Any:
        return response

    https_response = http_response  # type: ignore[assignment]
