"""What stands at the shim's door, made together and reloaded part by part: exposure, TLS, the guard."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import structlog

from ingest.access.exposure import check_exposure, is_loopback
from ingest.access.guard import Guard, check_settings
from ingest.access.tls import Faults, ServerTLS, server_tls
from schemas.settings import ConfigError, Settings

GUARD_PARTS: Final = frozenset({"tokens", "keys"})
TLS_PARTS: Final = frozenset({"tls_certificate", "tls_client_ca"})
PARTS: Final = sorted(GUARD_PARTS | TLS_PARTS)
"""What is reloaded, each by itself."""


T = TypeVar("T")


class Gate:
    """`guard` None asks nobody, `tls` None speaks plain HTTP. `faults`: what the last reload could not use, by part."""

    def __init__(self, guard: Guard | None, tls: ServerTLS | None) -> None:
        self.guard = guard
        self.tls = tls
        self.faults: Faults = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> Gate:
        """Reads tokens and certificates. Raises ConfigError."""
        check_exposure(settings)
        check_settings(settings)
        faults: list[str] = []
        guard = None if settings.auth == "none" else _made(Guard, settings, faults)
        tls = _made(server_tls, settings, faults)
        if faults:
            raise ConfigError(faults)
        return cls(guard, tls)

    def warn(self, settings: Settings) -> None:
        """Tell the log what is allowed and not wise."""
        log = structlog.get_logger("ingest.access.gate")
        if self.tls is None and not is_loopback(settings.listen):
            remedy = "set INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY, or put a proxy with TLS in front"
            log.warning("plain_http", listen=settings.listen, remedy=remedy)
        if self.guard is not None and self.guard.denies_all_tokens:
            remedy = "`chef-ingest token new` makes a line"
            log.warning("no_tokens", why="the tokens file holds none: every token is denied", remedy=remedy)

    def reload(self) -> None:
        """Read everything again, each part by itself; what can't be used is told to the log and kept in `faults`."""
        self.read()
        log = structlog.get_logger("ingest.access.gate")
        if self.faults:
            why = [each for part in self.faults.values() for each in part]
            remedy = "mend it and send SIGHUP again; who is named by what can't be read is not let in meanwhile"
            log.error("not_reloaded", parts=sorted(self.faults), why=why, remedy=remedy)
        else:
            names = [] if self.guard is None else self.guard.token_names
            log.info("reloaded", tls=self.tls is not None, tokens=names)
        if self.guard is not None:
            # Every key is read for it, and answers don't wait for that.
            threading.Thread(target=self.guard.tell_short_keys, name="short keys", daemon=True).start()

    def retry(self) -> None:
        """Read again what the last reload could not; it may have passed (too many open files, a mount that is back)."""
        if not self.faults:
            return
        before = self.faults
        self.read(before)
        if not self.faults:
            structlog.get_logger("ingest.access.gate").info("reloaded", parts=sorted(before))

    def read(self, parts: Collection[str] = PARTS) -> None:
        """Read the files of these parts; `faults` is what came of it."""
        faults: Faults = {}
        if self.tls is not None and not TLS_PARTS.isdisjoint(parts):
            faults |= self.tls.reload()
        if self.guard is not None and not GUARD_PARTS.isdisjoint(parts):
            faults |= self.guard.reload()
        self.faults = faults


def _made(make: Callable[[Settings], T | None], settings: Settings, faults: list[str]) -> T | None:
    """A part of the gate, or its faults added to the others'."""
    try:
        return make(settings)
    except ConfigError as error:
        faults += error.faults
        return None
