"""Public keys of clients that are too short to be trusted, by their files: who signs with one is answered 401."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ingest.access.keys import LEAST_BITS, KeysUnavailable, short_keys
from ingest.diagnostics.finding import Finding
from schemas.settings import Settings

_SHOWN: Final = 10


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Nothing where no signature is asked for."""
    if settings.auth not in ("signature", "any") or not settings.client_keys:
        return
    folder = Path(settings.client_keys)
    try:
        short = list(short_keys(folder))
    except KeysUnavailable as error:
        yield Finding("keys", "note", str(error), "run doctor as the shim's user")
        return
    if not short:
        yield Finding("keys", "ok", f"no RSA key in {folder} has fewer than {LEAST_BITS} bits")
        return
    named = ", ".join(f"{path.relative_to(folder)} ({bits} bits)" for path, bits in short[:_SHOWN])
    more = f" and {len(short) - _SHOWN} more" if len(short) > _SHOWN else ""
    text = f"RSA keys of fewer than {LEAST_BITS} bits in {folder}, whose clients are answered 401: {named}{more}"
    yield Finding("keys", "warning", text, "give each client a new key: knife client key create")
