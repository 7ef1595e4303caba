"""TLS at the shim: certificate, key and client CAs, exchanged under running connections."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final

from ingest.access.files import ABSENT, content
from schemas.settings import ConfigError, Settings

Faults = dict[str, tuple[str, ...]]
"""Part of the gate -> what is wrong with it."""

_CERTIFICATE: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]*CERTIFICATE)-----.*?-----END \1-----", re.DOTALL)


class ServerTLS:
    """The context that the shim listens with. Connections keep what they began with; new ones get the newest.

    Who we are (certificate and key) and who may come in (client CAs) are read each by itself: a certificate that
    can't be used leaves the old one, while a CA that was taken away, or can't be read, lets nobody in.
    """

    def __init__(self, settings: Settings) -> None:
        """Reads the files. Raises ConfigError."""
        self._settings = settings
        self.context: ssl.SSLContext
        self._identity: tuple[bytes, bytes] | None = None
        self._current: ssl.SSLContext | None = None
        faults = self.reload()
        if self._current is None or faults:
            raise ConfigError([each for part in faults.values() for each in part])
        self.context = self._current
        # A listening context can't be exchanged, but each handshake can be sent on to another one.
        self.context.sni_callback = self._choose

    def reload(self) -> Faults:
        """Read the files again; what is wrong with them, by part."""
        faults: Faults = {}
        try:
            self._identity = _identity(self._settings)
        except ConfigError as error:
            faults["tls_certificate"] = tuple(error.faults)
        try:
            cas, wrong = _client_cas(self._settings.tls_client_ca)
            self._current = None if self._identity is None or cas == [] else _context(self._identity, cas)
        except OSError as error:
            self._current = None
            wrong = [f"INGEST_TLS_CLIENT_CA: {self._settings.tls_client_ca}: {error.strerror}"]
        if wrong:
            faults["tls_client_ca"] = tuple(wrong)
        return faults

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._current is None:
            return int(ssl.AlertDescription.ALERT_DESCRIPTION_ACCESS_DENIED)
        connection.context = self._current
        return None


def server_tls(settings: Settings) -> ServerTLS | None:
    """TLS as the settings want it, None for plain HTTP. Raises ConfigError."""
    if settings.tls_certificate and settings.tls_key:
        return ServerTLS(settings)
    if settings.tls_certificate or settings.tls_key or settings.tls_client_ca:
        raise ConfigError(["INGEST_TLS_CERTIFICATE and INGEST_TLS_KEY are set together or not at all"])
    return None


def _identity(settings: Settings) -> tuple[bytes, bytes]:
    """Certificate chain and key in PEM, a pair that can be used. Raises ConfigError."""
    read, faults = [], []
    for name in ("tls_certificate", "tls_key"):
        path = getattr(settings, name)
        try:
            read.append(content(Path(path)))
        except OSError as error:
            faults.append(f"INGEST_{name.upper()}: {path}: {error.strerror}")
    if faults:
        raise ConfigError(faults)
    pair = read[0], read[1]
    try:
        _load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pair)
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or "the key wants a passphrase, or is none"
        raise ConfigError([f"INGEST_TLS_CERTIFICATE, INGEST_TLS_KEY: no pair of PEM files: {why}"]) from None
    except OSError as error:
        raise ConfigError([f"INGEST_TLS_CERTIFICATE, INGEST_TLS_KEY: {error.strerror}"]) from None
    return pair


def _load_pair(context: ssl.SSLContext, pair: tuple[bytes, bytes]) -> None:
    # OpenSSL takes files only; these are in memory, where a good pair outlives its files.
    descriptors = [os.memfd_create("pem", os.MFD_CLOEXEC)]
    try:
        descriptors.append(os.memfd_create("pem", os.MFD_CLOEXEC))
        for descriptor, pem in zip(descriptors, pair, strict=True):
            with open(descriptor, "wb", closefd=False) as file:
                file.write(pem)
        certificate, key = (f"/proc/self/fd/{each}" for each in descriptors)
        # A key that wants a passphrase would have OpenSSL ask the terminal for it.
        context.load_cert_chain(certificate, key, password=lambda: "")
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _client_cas(path: str) -> tuple[list[bytes] | None, list[str]]:
    """Each CA that is good, in PEM, and what is wrong; None where no client has to show a certificate.

    Raises OSError where that can't be told.
    """
    if not path:
        return None, []
    try:
        pem = content(Path(path))
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        return [], [f"INGEST_TLS_CLIENT_CA: {path}: {error.strerror}; no client comes in"]
    good, faults = [], []
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for number, found in enumerate(_CERTIFICATE.finditer(pem), 1):
        try:
            scratch.load_verify_locations(cadata=found[0].decode("ascii", "replace"))
            good.append(found[0])
        except (ssl.SSLError, ValueError):
            faults.append(f"INGEST_TLS_CLIENT_CA: {path}: certificate {number} is none; its clients don't come in")
    if not good and not faults:
        faults.append(f"INGEST_TLS_CLIENT_CA: {path}: no certificates in PEM; no client comes in")
    return good, faults


def _context(pair: tuple[bytes, bytes], cas: list[bytes] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, pair)
    if cas is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would not show its certificate again, even to CAs exchanged since: TLS 1.2 resumes by
        # what the server keeps, which can't be turned off from here; 1.3 by tickets only, and there are none.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.load_verify_locations(cadata=b"\n".join(cas).decode("ascii"))
    return context
