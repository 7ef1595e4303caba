"""The broker side of a measurement: fill a queue, see how much of it is left."""

from __future__ import annotations

import sys
from pathlib import Path

import pika

from bench.children import ChildFailed, finished, running
from bench.corpus import Corpus
from bench.publish import CELERY_QUEUE
from consumers.broker.declare import declare
from schemas.topology import ACTIONS, DEAD

PUBLISHERS = 2
FILL_SECONDS = 900.0


def prepare(url: str) -> None:
    """The product's own topology, and the same kind of queue for celery, whose messages have a form of their own."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    declare(connection)
    connection.channel().queue_declare(CELERY_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    connection.close()


class Gauge:
    """Tells how many messages of a queue wait for delivery."""

    def __init__(self, url: str) -> None:
        parameters = pika.URLParameters(url)
        parameters.heartbeat = 0
        self._connection = pika.BlockingConnection(parameters)
        self._channel = self._connection.channel()

    @property
    def version(self) -> str:
        return str(self._connection._impl.server_properties["version"])

    def ready(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def purge(self) -> None:
        for queue in (ACTIONS, CELERY_QUEUE, DEAD):
            self._channel.queue_purge(queue)

    def close(self) -> None:
        self._connection.close()


def fill(url: str, corpus: Corpus, start: int, count: int, folder: Path, *, celery: bool = False) -> None:
    """Publish a stretch of the corpus; returns when the broker has confirmed every message."""
    commands = {}
    share = -(-count // PUBLISHERS)
    for index in range(PUBLISHERS):
        first = start + index * share
        number = min(share, start + count - first)
        if number > 0:
            said = [corpus.mixture, corpus.seed, first, number, int(celery)]
            commands[f"publisher {index}"] = [sys.executable, "-m", "bench.publish", url, *map(str, said)]
    with running(commands, {}, folder) as children:
        confirmed = sum(int(text.split()[0]) for text in finished(children, FILL_SECONDS))
    if confirmed != count:
        raise ChildFailed(f"{confirmed} of {count} messages confirmed")
