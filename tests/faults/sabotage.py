"""Runs the product with one guarantee broken, to prove that the ledger would show it: `sabotage.py HOW COMMAND...`."""

from __future__ import annotations

import sys
from typing import Any

import pika

from consumers.store.tables.actions import Actions
from consumers.supervisor import slot
from consumers.worker import pipeline
from consumers.worker.committer import Committer
from consumers.worker.source import AmqpSource
from ingest.cli import main
from ingest.http.outcome import QUEUED
from ingest.publisher import connection, publisher
from schemas.settings import Settings


def ack_before_commit() -> None:
    """The broker is told that a batch is safe before it is."""

    def run(self: pipeline.Pipeline, *args: Any, **options: Any) -> None:
        submit = Committer.submit

        def acked_first(committer: Committer, batch: Any) -> None:
            honest_ack(self.source, [item.delivery for item in batch.items], whole_prefix=True)
            submit(committer, batch)

        Committer.submit = acked_first  # type: ignore[method-assign]
        honest_run(self, *args, **options)

    honest_run = pipeline.Pipeline.run
    pipeline.Pipeline.run = run  # type: ignore[method-assign]
    honest_ack = AmqpSource.acknowledge
    AmqpSource.acknowledge = lambda *_, **__: None  # type: ignore[method-assign]


def without_mandatory() -> None:
    """What no queue is bound for is confirmed by the broker, and dropped."""
    honest = pika.channel.Channel.basic_publish

    def publish(self: Any, *args: Any, **options: Any) -> None:
        honest(self, *args, **(options | {"mandatory": False}))

    pika.channel.Channel.basic_publish = publish


def without_confirms() -> None:
    """The shim promises what it has sent, not what the broker has confirmed."""
    honest = publisher.Publisher.publish

    def publish(self: publisher.Publisher, message: Any, **options: Any) -> Any:
        correlation_id, outcome = honest(self, message, **options)
        if not outcome.done() and message.kind != "ping":
            outcome.set_result(QUEUED)
        return correlation_id, outcome

    publisher.Publisher.publish = publish  # type: ignore[method-assign]


def impatient() -> None:
    """Not broken, only quicker: a worker that says nothing for ten seconds is taken for one that hangs."""
    slot.SILENT_SECONDS = 10.0  # type: ignore[misc]


def without_key() -> None:
    """Every id is taken for a new one."""
    Actions.write_few = lambda *_: None  # type: ignore[method-assign]
    honest = Actions.__init__

    def init(self: Actions, settings: Settings) -> None:
        honest(self, settings)
        spoiled = "SELECT unnest(%(id)s::uuid[])::text FROM (SELECT %(recorded_at)s::timestamptz[]) t"
        self._sql = {**self._sql, "insert_action_ids": spoiled}

    Actions.__init__ = init  # type: ignore[method-assign]


if __name__ == "__main__":
    assert connection.REPLY_TO
    globals()[sys.argv.pop(1)]()
    main()
