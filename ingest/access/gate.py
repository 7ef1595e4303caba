"""What stands at the shim's door, made together and reloaded together: exposure, TLS, the guard."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from ingest.access.exposure import check_exposure, is_loopback
from ingest.access.guard import Guard, check_settings
from ingest.access.tls import ServerTLS, server_tls
from schemas.settings import ConfigError, Settings


@dataclass(frozen=True, slots=True)
class Gate:
    """`guard` None asks nobody, `tls` None speaks plain HTTP."""

    guard: Guard | None
    tls: ServerTLS | None

    @classmethod
    def from_settings(cls, settings: Settings) -> Gate:
        """Reads tokens and certificates. Raises ConfigError."""
        check_exposure(settings)
        check_settings(settings)
        return cls(None if settings.auth == "none" else Guard(settings), server_tls(settings))

    def warn(self, settings: Settings) -> None:
        """Tell the log what is allowed and not wise."""
        if self.tls is None and not is_loopback(settings.listen):
            remedy = "set INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY, or put a proxy with TLS in front"
            structlog.get_logger("ingest.access.gate").warning("plain_http", listen=settings.listen, remedy=remedy)

    def reload(self) -> None:
        """Read tokens and certificates again; what can't be used is told to the log, and the old stays."""
        log = structlog.get_logger("ingest.access.gate")
        try:
            if self.tls is not None:
                self.tls.reload()
            names = [] if self.guard is None else self.guard.reload()
        except ConfigError as error:
            log.error("not_reloaded", why=error.faults, remedy="mend it and send SIGHUP again; the old stays in use")
        else:
            log.info("reloaded", tls=self.tls is not None, tokens=names)
