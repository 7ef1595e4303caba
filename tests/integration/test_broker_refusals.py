"""Only what the broker says stops a worker for good; a wire that is cut, wherever, is an outage."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from consumers.broker.connection import connect
from consumers.errors import BrokerUnavailable, Misconfigured
from tests.patience import LONG


@contextlib.contextmanager
def cut_after(url: str, most: int) -> Iterator[str]:
    """The broker by way of a relay that resets the connection after so many bytes of the broker's."""
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client, socket.create_connection(("127.0.0.1", parts.port or 5672)) as broker:
                    threading.Thread(target=_pass_on, args=(client, broker), daemon=True).start()
                    left = most
                    while left and (data := broker.recv(left)):
                        client.sendall(data)
                        left -= len(data)
                    # With this, closing resets.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.shutdown(socket.SHUT_RD)

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        user = parts.netloc.rpartition("@")[0]
        yield parts._replace(netloc=f"{user}@127.0.0.1:{listener.getsockname()[1]}").geturl()
    thread.join(LONG)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@pytest.mark.parametrize("most", [0, 1, 7, 100, 400, 500, 520, 530, 540, 550])
def test_a_wire_that_is_cut_while_we_say_who_we_are_is_an_outage(amqp_url: str, most: int) -> None:
    """In whatever step of the handshake: a guess at wrong credentials must not end in exit 78."""
    with cut_after(amqp_url, most) as url, pytest.raises(BrokerUnavailable):
        connect(url, heartbeat=30, name="test")


def test_what_the_broker_refuses_is_a_fault_of_the_configuration(amqp_url: str) -> None:
    """A wrong password, an unknown virtual host: said by the broker, in its words."""
    parts = urlsplit(amqp_url)
    wrong = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(Misconfigured, match="ACCESS_REFUSED"):
        connect(wrong, heartbeat=30, name="test")
    with pytest.raises(Misconfigured, match="not found"):
        connect(f"{amqp_url}-nowhere", heartbeat=30, name="test")
