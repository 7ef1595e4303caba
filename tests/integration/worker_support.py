"""What the tests of workers and dead letters share: real consumer processes, publishing, letters, and waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
from operate_support import command

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from ingest.soak.system import until
from tests import looking
from tests.patience import LONG

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
EXAMPLE = json.loads((FIXTURES / "example_action.json").read_bytes())
NAIVE_WORKER = Path(__file__).with_name("naive_worker.py")


class Place:
    """A test's own broker and database, and the environment that leads our commands there."""

    def __init__(self, amqp_url: str, database_url: str, state: Path) -> None:
        self.amqp_url = amqp_url
        self.database_url = database_url
        self._state = state
        self._logs: dict[int, Path] = {}
        connection = connect(amqp_url, heartbeat=30, name="test")
        declare(connection)
        connection.close()

    def environment(self, **settings: object) -> dict[str, str]:
        """`max_replays=2` is INGEST_MAX_REPLAYS; a failpoint brings the hooks it needs."""
        named = {f"INGEST_{name.upper()}": str(value) for name, value in settings.items()}
        hooks = {"INGEST_TEST_HOOKS": "1"} if "failpoint" in settings else {}
        urls = {"AMQP_URL": self.amqp_url, "DATABASE_URL": self.database_url, "INGEST_STATE": str(self._state)}
        return os.environ | urls | {"INGEST_LOG_FORMAT": "json", "NO_COLOR": "1"} | hooks | named

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """What a query finds."""
        return looking.rows(self.database_url, sql, *values)

    def one(self, sql: str, *values: Any) -> Any:
        """The one value a query finds."""
        return self.rows(sql, *values)[0][0]

    def messages(self, queue: str) -> int:
        """Messages ready in a queue."""
        return looking.messages(self.amqp_url, queue)

    def publish(
        self, bodies: Iterable[bytes], exchange: str = "ingest", routing_key: str = "action", **properties: Any
    ) -> None:
        """Publish messages; returns once the broker has them all."""
        connection = connect(self.amqp_url, heartbeat=30, name="test")
        channel = connection.channel()
        channel.tx_select()
        for body in bodies:
            channel.basic_publish(exchange, routing_key, body, pika.BasicProperties(delivery_mode=2, **properties))
        channel.tx_commit()
        connection.close()

    def repository(self, *arguments: str, check: bool = True, **settings: object) -> subprocess.CompletedProcess[str]:
        """`chef-ingest ARGUMENTS`, run to its end: in this process, or one of its own if it is to be killed."""
        done = command(*arguments, env=self.environment(**settings), alone="failpoint" in settings)
        assert not check or done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str, **settings: object) -> Any:
        """What `chef-ingest ARGUMENTS --output json` prints."""
        return json.loads(self.repository(*arguments, "--output", "json", **settings).stdout)

    @contextmanager
    def consuming(self, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
        """One worker while the test is inside; drained at the end."""
        with self._running([sys.executable, "-m", "ingest", "worker"], settings) as process:
            yield process

    @contextmanager
    def supervised(self, workers: int, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
        """`chef-ingest consume` while the test is inside: workers, and the quarantine lane."""
        argv = [sys.executable, "-m", "ingest", "consume", "-n", str(workers)]
        with self._running(argv, settings) as process:
            yield process

    @contextmanager
    def naive(self, workers: int = 1, **settings: object) -> Iterator[None]:
        """Workers that know no suspects, each replaced when it dies."""
        argv = [sys.executable, str(NAIVE_WORKER), str(workers)]
        with self._running(argv, settings):
            yield

    def log(self, process: subprocess.Popen[bytes]) -> str:
        """What a process of ours has logged so far."""
        return self._logs[process.pid].read_text()

    @contextmanager
    def _running(self, argv: list[str], settings: Mapping[str, object]) -> Iterator[subprocess.Popen[bytes]]:
        log = self._state / f"{uuid.uuid4()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                argv, env=self.environment(**settings), stdout=out, stderr=out, start_new_session=True
            )
        self._logs[process.pid] = log
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            process.wait(LONG)
        except BaseException:
            print(log.read_text()[-4000:])
            raise
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def action(**changes: Any) -> bytes:
    """The documented example under an id of its own, with members changed; None leaves a member out."""
    members = EXAMPLE | {"id": str(uuid.uuid4())} | changes
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def fixable(**changes: Any) -> bytes:
    """An action that only the wire profile takes."""
    return action(entity_type="key", **changes)


def unfixable() -> bytes:
    """An action that no profile takes."""
    return action(task="no such task")


def letters(place: Place, bodies: list[bytes], **settings: object) -> None:
    """Let a worker make letters of bodies that it refuses."""
    place.publish(bodies)
    with place.consuming(**settings):
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == len(bodies), "letters")


def states(place: Place) -> dict[str, int]:
    """How many letters there are in each state."""
    return dict(place.rows("SELECT state, count(*) FROM dead_letters GROUP BY state"))
