"""What the end-to-end tests share: the whole system on one vhost and one database, and the captured traffic."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pika
from http_support import Shim

from ingest.soak.system import until
from tests import looking
from tests.patience import LONG

FIXTURES = Path(__file__).parents[1] / "fixtures"
ACTION: dict[str, Any] = json.loads((FIXTURES / "example_action.json").read_text())
RUNS = {path.stem: json.loads(path.read_text()) for path in sorted((FIXTURES / "http").glob("*.json"))}
PUBLISHED = [json.loads(line) for line in (FIXTURES / "actions.jsonl").read_text().splitlines()]


def published_body(captured: dict[str, Any]) -> bytes:
    """The bytes that a Chef server put on the exchange."""
    if "body_base64" in captured:
        return base64.b64decode(captured["body_base64"])
    return b"".join(base64.b64decode(part) * times for part, times in captured["body_parts"])


def requests_of(run: dict[str, Any]) -> dict[str, tuple[str, bytes, dict[str, str]]]:
    """Kind -> path, body bytes and headers of a captured client's requests."""
    ours = {"host", "content-length", "connection"}
    return {
        each["kind"]: (
            each["path"],
            base64.b64decode(each["body_base64"]),
            {name: value for name, value in each["headers"] if name.lower() not in ours},
        )
        for each in run["requests"]
    }


class Consumers:
    """`consume` as a process."""

    def __init__(self, amqp_url: str, database_url: str, workers: int = 1, **settings: object) -> None:
        named = {f"INGEST_{name.upper()}": str(value) for name, value in settings.items()}
        named |= {"AMQP_URL": amqp_url, "DATABASE_URL": database_url}
        command = [sys.executable, "-m", "ingest", "consume", "-n", str(workers)]
        self.process = subprocess.Popen(command, env=os.environ | named)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(LONG)


class System:
    """A shim, its consumers, and hands on the broker and the database."""

    def __init__(self, amqp_url: str, database_url: str, workers: int, settings: dict[str, object]) -> None:
        self.amqp_url, self.database_url = amqp_url, database_url
        self.consumers = Consumers(amqp_url, database_url, workers, **settings)
        self.shim = Shim(amqp_url, database_url, **settings)
        self.http: httpx.Client = self.shim.http

    def ready(self) -> None:
        """Wait until a ping goes all the way."""
        until(lambda: self.http.get("/readyz").status_code == 200, "the system is ready")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds now."""
        return looking.rows(self.database_url, sql, *values)

    def publish(self, exchange: str, routing_key: str, *bodies: bytes, **properties: Any) -> None:
        """Publish as a Chef server does: persistent and nothing else, unless told otherwise."""
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish(
                exchange, routing_key, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True
            )
        connection.close()

    def stop(self) -> tuple[int, int]:
        """The exit statuses of shim and consumers."""
        return self.shim.stop(), self.consumers.stop()


@contextmanager
def running(amqp_url: str, database_url: str, workers: int = 1, **settings: object) -> Iterator[System]:
    """The whole system, ready, and stopped in the end."""
    system = System(amqp_url, database_url, workers, settings)
    try:
        system.ready()
        yield system
    finally:
        system.stop()
