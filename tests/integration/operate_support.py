"""What the operator's tests share: a supervisor as a real process, messages to work on, a count of what is stored."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
from click.testing import CliRunner
from logging_process import LoggingProcess
from pika.adapters.blocking_connection import BlockingConnection

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.supervisor.control import ControlError, ask
from ingest.cli import main
from ingest.soak.system import until
from tests import looking
from tests.patience import LONG

ROOT = Path(__file__).parents[2]


def environment(amqp_url: str, database_url: str, state: Path, **settings: object) -> dict[str, str]:
    """The environment of a command of ours."""
    named = {f"INGEST_{name.upper()}": str(value) for name, value in settings.items()}
    urls = {"AMQP_URL": amqp_url, "DATABASE_URL": database_url, "INGEST_STATE": str(state)}
    return os.environ | urls | {"INGEST_LOG_FORMAT": "json"} | named


STAYING = ("console", "consume", "serve", "up", "worker")
"""Commands that make the process they run in their own: its signals, its log, its children."""


def command(*arguments: str, env: dict[str, str], alone: bool = False) -> subprocess.CompletedProcess[str]:
    """Run `chef-ingest ARGUMENTS` to its end: in this process, or one of its own if it stays or is to be `alone`."""
    argv = [sys.executable, "-m", "ingest", *arguments]
    if alone or arguments[0] in STAYING:
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=LONG, check=False)
    result = CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)
    return subprocess.CompletedProcess(argv, result.exit_code, result.stdout, result.stderr)


class Consumers(LoggingProcess):
    """`chef-ingest consume` as a process; its log holds its workers' too."""

    def __init__(self, env: dict[str, str], *options: str) -> None:
        self.state = Path(env["INGEST_STATE"])
        super().__init__("consume", *options, env=env, new_session=True)

    def status(self) -> dict[str, Any]:
        """What it answers on its socket; nothing while nobody listens."""
        try:
            return ask(self.state, {"verb": "status"})
        except ControlError:
            return {}

    def pids(self, lane: str = "main") -> list[int]:
        """The workers of a lane that consume, oldest first."""
        rows = self.status().get("workers", [])
        return [row["pid"] for row in rows if row["lane"] == lane and row["state"] == "consuming"]

    def settled(self, workers: int) -> list[int]:
        """Wait until exactly so many main workers run, and these and the quarantine lane consume."""

        def probe() -> list[int]:
            assert self.process.poll() is None, f"consume ended: {self.log}"
            rows = self.status().get("workers", [])
            pids = [row["pid"] for row in rows if row["lane"] == "main"]
            return pids if len(pids) == workers and all(row["state"] == "consuming" for row in rows) else []

        return until(probe, f"{workers} workers consume; {self.log[-5:]}")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def metrics_url(self) -> str:
        """Where it answers scrapes."""
        return str(until(lambda: self.events("metrics"), "it serves metrics")[0]["url"])

    def scrape(self) -> dict[str, float]:
        """Its metrics: `name{labels}` -> value."""
        return scrape(self.metrics_url())


@contextmanager
def consuming(env: dict[str, str], *options: str, workers: int = 1) -> Iterator[Consumers]:
    """A supervisor whose workers consume; drained at the end."""
    consumers = Consumers(env, *options)
    try:
        consumers.settled(workers)
        yield consumers
    finally:
        consumers.stop()


def scrape(url: str) -> dict[str, float]:
    """`name{labels}` -> value, of the Prometheus text at a URL."""
    with urllib.request.urlopen(url, timeout=LONG) as response:
        text = response.read().decode()
    samples = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {re.sub(r",\}", "}", name): float(value) for name, _, value in samples}


def declared(amqp_url: str) -> None:
    """The product's own exchanges, queues and bindings."""
    connection = connect(amqp_url, heartbeat=30, name="test")
    declare(connection)
    connection.close()


def actions(count: int) -> list[dict[str, Any]]:
    """Valid actions, each with an id of its own, of this month."""
    pattern = json.loads((ROOT / "tests/fixtures/example_action.json").read_text())
    return [pattern | {"id": str(uuid.uuid4()), "recorded_at": "2026-11-22T01:02:03Z"} for _ in range(count)]


class Publisher:
    """Publishes as the shim does, confirmed; `sent` are the ids that the broker took."""

    def __init__(self, amqp_url: str) -> None:
        self._connection = BlockingConnection(pika.URLParameters(amqp_url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self.sent: set[str] = set()

    def publish(self, action: dict[str, Any], timestamp: int | None = None) -> None:
        properties = pika.BasicProperties(type="action", delivery_mode=2, timestamp=timestamp)
        self._channel.basic_publish("ingest", "action", json.dumps(action).encode(), properties, mandatory=True)
        self.sent.add(action["id"])

    def close(self) -> None:
        self._connection.close()


@contextmanager
def publishing(amqp_url: str) -> Iterator[Publisher]:
    publisher = Publisher(amqp_url)
    try:
        yield publisher
    finally:
        publisher.close()


def flood(amqp_url: str, count: int) -> None:
    """Publish many actions at once, unconfirmed; they are in the queue when this returns."""
    with BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for action in actions(count):
            channel.basic_publish("ingest", "action", json.dumps(action).encode())
        # The broker answers a channel's methods in order: what came before is in.
        channel.confirm_delivery()
        channel.basic_publish("ingest", "ping", b"{}", pika.BasicProperties(type="ping"))


@contextmanager
def load(amqp_url: str) -> Iterator[Publisher]:
    """Actions published without pause from another thread while the block runs; afterwards `sent` is complete."""
    publisher = Publisher(amqp_url)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            for action in actions(10):
                publisher.publish(action)
            time.sleep(0.05)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        stop.set()
        thread.join(LONG)
        publisher.close()


def stored(database_url: str) -> list[str]:
    """The ids in the table, each as often as it is there."""
    return [row[0] for row in looking.rows(database_url, "SELECT id::text FROM actions")]


def nothing_lost(database_url: str, sent: set[str]) -> None:
    """Everything sent is stored, once, and nothing else."""
    count = "SELECT count(*) FROM actions"
    until(lambda: looking.rows(database_url, count)[0][0] >= len(sent), "everything sent is stored")
    rows = stored(database_url)
    assert len(rows) == len(set(rows))
    assert set(rows) == sent
