"""What the HTTP tests share: a shim as a process, somebody who answers as a worker would, a queue's count."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pika
from logging_process import LoggingProcess
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from consumers.broker.declare import declare
from ingest.soak.system import until
from schemas import topology
from schemas.verdict import Created, Pong, Verdict, to_wire
from tests import looking
from tests.patience import LONG, PATIENT

OWN = {"accept": "application/vnd.chef-ingest+json"}
"""Asks for an action as it was sent, and for a run as it is stored."""
ACTION_ID = "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
CREATED = Created(f"/actions/{ACTION_ID}")

Answerer = Callable[[pika.BasicProperties, bytes], Verdict | None]


class Shim(LoggingProcess):
    """A shim process that answers when the verdict is in, unless told otherwise, and a client of it."""

    def __init__(self, amqp_url: str, database_url: str = "", **settings: object) -> None:
        named = PATIENT | {f"INGEST_{name.upper()}": str(value) for name, value in settings.items()}
        named |= {"AMQP_URL": amqp_url, "INGEST_LISTEN": "127.0.0.1:0"}
        # Port 1: nobody is there, so a POST that needed the database would show.
        named["DATABASE_URL"] = database_url or "postgresql://127.0.0.1:1/nothing"
        super().__init__("serve", env=os.environ | named)
        self.url = until(lambda: self.events("listening"), "the shim listens")[0]["url"]
        self.listen = self.url.partition("://")[2]
        self.http = httpx.Client(base_url=self.url, timeout=LONG, trust_env=False)

    def connected(self, times: int = 1) -> None:
        """Wait until the shim has connected to the broker so many times."""
        until(lambda: len(self.events("broker_connected")) >= times, "the shim connects")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.http.close()
        return super().stop(number)


@contextmanager
def serving(amqp_url: str, database_url: str = "", *, connected: bool = True, **settings: object) -> Iterator[Shim]:
    """A shim that has, unless told otherwise, found its broker; stopped at the end."""
    shim = Shim(amqp_url, database_url, **settings)
    try:
        if connected:
            shim.connected()
        yield shim
    finally:
        if shim.process.poll() is None:
            shim.stop()


@contextmanager
def broker_channel(amqp_url: str) -> Iterator[BlockingChannel]:
    """A channel for looking and arranging."""
    connection = BlockingConnection(pika.URLParameters(amqp_url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare_topology(amqp_url: str) -> None:
    """The product's own exchanges, queues and bindings."""
    with broker_channel(amqp_url) as channel:
        declare(channel.connection)


class Worker:
    """Takes what is queued and answers it with what it is told to; keeps what it saw."""

    def __init__(self, amqp_url: str, answer: Answerer) -> None:
        self.seen: list[tuple[pika.BasicProperties, bytes]] = []
        self._answer = answer
        self._connection = BlockingConnection(pika.URLParameters(amqp_url))
        self._channel = self._connection.channel()
        for queue in (topology.ACTIONS, topology.RUNS, topology.PINGS):
            self._channel.basic_consume(queue, self._take)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._connection.process_data_events(0.01)
        self._connection.close()

    def _take(self, channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        self.seen.append((properties, body))
        verdict = Pong() if properties.type == "ping" else self._answer(properties, body)
        if verdict is not None and properties.reply_to:
            reply = json.dumps([[properties.correlation_id, to_wire(verdict)]]).encode()
            channel.basic_publish("", properties.reply_to, reply)
        channel.basic_ack(method.delivery_tag)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(LONG)


@contextmanager
def answering(amqp_url: str, answer: Verdict | Answerer | None = CREATED) -> Iterator[Worker]:
    """A worker that answers everything with one verdict (None: with nothing), or as a function says."""
    worker = Worker(amqp_url, answer if callable(answer) else lambda *_: answer)
    try:
        yield worker
    finally:
        worker.stop()


def depth(amqp_url: str, queue: str) -> int:
    """How many messages wait in a queue."""
    return looking.messages(amqp_url, queue)
