"""Fills a queue with a stretch of a corpus: persistent, every message confirmed by the broker."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

import pika
from pika.spec import BasicProperties

from bench.corpus import Corpus
from schemas.doors import CHEF_EXCHANGE

WINDOW = 1000
"""Publishes that wait for their confirm at once."""
PIECE_BYTES = 64 * 1024

CELERY_QUEUE = "bench.celery"
_CELERY_TAIL = b'],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'


class _Gathering(pika.SelectConnection):  # type: ignore[misc]
    """Sends what is published within `together` in few pieces; by pika alone each message is three."""

    _gathering = False
    _gathered: bytearray

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        self._gathering, self._gathered = True, bytearray()
        yield
        self._gathering = False
        self._send_gathered()

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        if not self._gathering:
            super()._output_marshaled_frames(marshaled_frames)
            return
        for frame in marshaled_frames:
            self._gathered += frame
        if len(self._gathered) > PIECE_BYTES:
            self._send_gathered()

    def _send_gathered(self) -> None:
        if self._gathered:
            super()._output_marshaled_frames([bytes(self._gathered)])
            self._gathered.clear()


class Publisher:
    """One connection that publishes messages `start` to `start + count`, then stops its loop."""

    def __init__(self, url: str, corpus: Corpus, start: int, count: int, *, celery: bool) -> None:
        self._numbers = iter(range(start, start + count))
        self._corpus = corpus
        self._celery = celery
        self._tag = 0
        self._unconfirmed: dict[int, None] = {}
        self.confirmed = 0
        self.failed = ""
        self._connection = _Gathering(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=lambda _, error: self._stop(repr(error)),
            on_close_callback=self._closed,
        )

    def run(self) -> None:
        self._connection.ioloop.start()

    def _opened(self, channel: pika.channel.Channel) -> None:
        self._channel = channel
        channel.add_on_return_callback(
            lambda *_: self._stop("the broker returned a message: is the topology declared?")
        )
        channel.confirm_delivery(self._settled, callback=lambda _: self._begin())

    def _begin(self) -> None:
        self._send()

    def _send(self) -> None:
        """As many as may be unconfirmed at once; asked again after each confirm."""
        with self._connection.together():
            for number in islice(self._numbers, WINDOW - len(self._unconfirmed)):
                self._publish(number)
        if not self._unconfirmed:
            self._connection.close()

    def _publish(self, number: int) -> None:
        self._tag += 1
        self._unconfirmed[self._tag] = None
        self._channel.basic_publish(*self._publication(number), mandatory=True)

    def _publication(self, number: int) -> tuple[str, str, bytes, BasicProperties]:
        body = self._corpus.message(number)
        if not self._celery:
            # Chef servers set the delivery mode and nothing else.
            return CHEF_EXCHANGE, self._corpus.template(number).routing_key, body, BasicProperties(delivery_mode=2)
        return "", CELERY_QUEUE, b"[[" + body + _CELERY_TAIL, _task(self._corpus.id(number))

    def _settled(self, frame: pika.frame.Method) -> None:
        method = frame.method
        if not isinstance(method, pika.spec.Basic.Ack):
            self._stop("the broker refused a message")
            return
        tags = [method.delivery_tag]
        if method.multiple:
            tags = list(takewhile(lambda tag: tag <= method.delivery_tag, self._unconfirmed))
        for tag in tags:
            del self._unconfirmed[tag]
        self.confirmed += len(tags)
        self._send()

    def _closed(self, _connection: object, reason: Exception) -> None:
        if self._unconfirmed:
            self.failed = self.failed or repr(reason)
        self._connection.ioloop.stop()

    def _stop(self, why: str) -> None:
        self.failed = why
        self._connection.ioloop.stop()


def _task(identity: str) -> BasicProperties:
    """A celery task message's properties [docs.celeryq.dev, Message Protocol, version 2]."""
    headers = {"lang": "py", "task": "bench.store_action", "id": identity, "root_id": identity, "parent_id": None}
    headers |= {"group": None, "shadow": None, "eta": None, "expires": None, "retries": 0, "timelimit": [None, None]}
    headers |= {"argsrepr": "", "kwargsrepr": "", "origin": "bench", "ignore_result": True}
    return BasicProperties(
        delivery_mode=2,
        correlation_id=identity,
        content_type="application/json",
        content_encoding="utf-8",
        priority=0,
        headers=headers,
    )


def main(url: str, mixture: str, *numbers: str) -> None:
    seed, start, count, celery = map(int, numbers)
    publisher = Publisher(url, Corpus(mixture, seed), start, count, celery=bool(celery))
    publisher.run()
    if publisher.failed:
        sys.exit(publisher.failed)
    print(publisher.confirmed)


if __name__ == "__main__":
    main(*sys.argv[1:])
