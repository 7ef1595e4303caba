"""TLS at the shim: certificate, key and client CAs, exchanged under running connections."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from schemas.settings import ConfigError, Settings

_SETTINGS: Final = ("tls_certificate", "tls_key", "tls_client_ca")


class ServerTLS:
    """The context that the shim listens with. Connections keep what they began with; new ones get the newest."""

    def __init__(self, settings: Settings) -> None:
        """Reads the files. Raises ConfigError."""
        self._settings = settings
        self._current = self.context = _load(settings)
        # A listening context can't be exchanged, but each handshake can be sent on to another one.
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Read the files again. Raises ConfigError, and then the old ones stay."""
        self._current = _load(self._settings)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def server_tls(settings: Settings) -> ServerTLS | None:
    """TLS as the settings want it, None for plain HTTP. Raises ConfigError."""
    if settings.tls_certificate and settings.tls_key:
        return ServerTLS(settings)
    if settings.tls_certificate or settings.tls_key or settings.tls_client_ca:
        raise ConfigError(["INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY are set together or not at all"])
    return None


def _load(settings: Settings) -> ssl.SSLContext:
    faults = [
        f"INGEST_{name.upper()}: {path}: no such file that we may read"
        for name in _SETTINGS
        if (path := getattr(settings, name)) and not _readable(path)
    ]
    if faults:
        raise ConfigError(faults)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key that wants a passphrase would have OpenSSL ask the terminal for it.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or "the key wants a passphrase, or is none"
        raise ConfigError([f"INGEST_TLS_CERTIFICATE, INGEST_TLS_KEY: no pair of PEM files: {why}"]) from None
    if settings.tls_client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would not show its certificate again, even to CAs exchanged since.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except ssl.SSLError as error:
            raise ConfigError([f"INGEST_TLS_CLIENT_CA: no certificates in PEM: {error.reason}"]) from None
    return context


def _readable(path: str) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except OSError:
        return False
