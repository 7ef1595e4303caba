"""The console where others can reach it: over TLS, with a certificate that is exchanged while it runs."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from console_support import NOBODY
from logging_process import LoggingProcess
from throwaway_ca import Pair, ThrowawayCA

from ingest.soak.system import until
from tests.patience import LONG


def install(certificate: Path, key: Path, served: Pair) -> None:
    shutil.copy(certificate, served.certificate)
    shutil.copy(key, served.key)


def answers(url: str, ca: ThrowawayCA) -> bool:
    """Whether the console shows its form to whoever trusts this authority."""
    context = ssl.create_default_context(cafile=str(ca.file))
    try:
        with httpx.Client(verify=context, trust_env=False, timeout=LONG) as client:
            return "Token" in client.get(f"{url}/login").text
    except httpx.ConnectError:
        return False


def test_the_certificate_is_exchanged_while_pages_are_served(tmp_path: Path) -> None:
    """Beyond loopback, with tokens: SIGHUP takes the new one, and leaves the old one where the new can't be used."""
    first, second = (ThrowawayCA(tmp_path, name) for name in ("first-ca", "second-ca"))
    old, new = first.issue("first", "127.0.0.1"), second.issue("second", "127.0.0.1")
    served = Pair(tmp_path / "served.crt", tmp_path / "served.key")
    install(old.certificate, old.key, served)
    (tmp_path / "tokens").write_text("")
    env = os.environ | NOBODY | {
        "INGEST_CONSOLE_LISTEN": "0.0.0.0:0", "INGEST_LISTEN": "127.0.0.1:1", "INGEST_LOG_FORMAT": "json",
        "INGEST_TOKENS_FILE": str(tmp_path / "tokens"), "INGEST_TLS_CERTIFICATE": str(served.certificate),
        "INGEST_TLS_KEY": str(served.key),
    }  # fmt: skip
    process = LoggingProcess("console", "--state", str(tmp_path), env=env)
    try:
        told = until(lambda: process.events("listening"), "the console listens")[0]["url"]
        url = f"https://127.0.0.1:{urlsplit(told).port}"
        assert (answers(url, first), answers(url, second)) == (True, False)
        install(new.certificate, old.key, served)
        process.process.send_signal(signal.SIGHUP)
        until(lambda: process.events("not_reloaded"), "it says that these are no pair")
        assert answers(url, first)
        install(new.certificate, new.key, served)
        process.process.send_signal(signal.SIGHUP)
        until(lambda: process.events("reloaded"), "it has read the new one")
        assert (answers(url, first), answers(url, second)) == (False, True)
        assert "PRIVATE" not in str(process.log)
    finally:
        assert process.stop() == 0
