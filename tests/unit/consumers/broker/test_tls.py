"""What an operator hears of certificates that can't be used."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.broker.connection import connect
from consumers.errors import BrokerUnavailable, Misconfigured
from tests.throwaway_ca import ThrowawayCA


@contextlib.contextmanager
def presenting(ca: ThrowawayCA) -> Iterator[int]:
    """The port of who shows each caller a certificate of that CA."""
    pair = ca.issue("broker", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                caller, _ = listener.accept()
                with context.wrap_socket(caller, server_side=True) as secured:
                    secured.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(60)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are checked as Python does from 3.13 on."""
    real = ssl.create_default_context

    def stricter(*given: Any, **named: Any) -> ssl.SSLContext:
        context = real(*given, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", stricter)


@pytest.mark.usefixtures("strict")
def test_a_ca_that_says_no_key_usage_is_a_fault_of_the_configuration_and_said_so(tmp_path: Path) -> None:
    """No broker that comes back mends it: taken for an outage a worker would wait for ever, and say nothing of use."""
    ca = ThrowawayCA(tmp_path, "ca", key_usage=False)
    with presenting(ca) as port, pytest.raises(Misconfigured, match="has to say keyUsage = critical, keyCertSign"):
        connect(f"amqps://u:p@127.0.0.1:{port}/x?cacertfile={ca.file}", heartbeat=30, name="test")


@pytest.mark.usefixtures("strict")
def test_another_cas_certificate_is_an_outage(tmp_path: Path) -> None:
    """Who answers under the broker's address may be the broker again in a moment."""
    ours, other = ThrowawayCA(tmp_path, "ours"), ThrowawayCA(tmp_path, "other")
    with presenting(other) as port, pytest.raises(BrokerUnavailable, match="certificate verify failed"):
        connect(f"amqps://u:p@127.0.0.1:{port}/x?cacertfile={ours.file}", heartbeat=30, name="test")
