"""Looks at a queue: how much waits in it, and for how many consumers."""

from __future__ import annotations

from pika.adapters.blocking_connection import BlockingChannel


def counts(channel: BlockingChannel, queue: str) -> tuple[int, int]:
    """Messages ready and consumers of a queue."""
    method = channel.queue_declare(queue, passive=True).method
    return method.message_count, method.consumer_count
