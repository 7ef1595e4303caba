"""A RabbitMQ node of a test's own, to be killed, started and starved without harm to anybody else's tests."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.local.rabbitmq import RabbitMQ
from ingest.local.stack import LocalStack


def free_port() -> int:
    """A loopback port that nobody holds now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def private_broker() -> Iterator[RabbitMQ]:
    """A started node; gone at the end."""
    nowhere = "postgresql://127.0.0.1:1/nothing"
    with tempfile.TemporaryDirectory(prefix="shim-broker-") as folder:
        Path(folder).chmod(0o755)
        stack = LocalStack(Path(folder) / "state", database_url=nowhere, environ=os.environ, say=lambda _: None)
        with stack:
            assert stack.rabbit is not None
            yield stack.rabbit
