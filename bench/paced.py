"""Publishes a stretch of a corpus at a fixed rate, whatever becomes of it; says how late its 99th percentile went."""

from __future__ import annotations

import sys
import time

from bench.corpus import BLOCK, Corpus
from bench.publish import Publisher

EARLY_SECONDS = 0.0015
"""The loop's clock is coarse: it wakes us so much too early, and the rest is slept."""


class Paced(Publisher):
    """Message n of the stretch is due n / `rate` seconds after `begins`, which is a time of time.monotonic()."""

    def __init__(self, url: str, corpus: Corpus, start: int, count: int, rate: float, begins: float) -> None:
        super().__init__(url, corpus, start, count, celery=False)
        self._left = count
        self._rate = rate
        self._begins = begins
        self.late: list[float] = []

    def _begin(self) -> None:
        time.sleep(min(EARLY_SECONDS, max(0.0, self._due() - time.monotonic())))
        with self._connection.together():
            while self._left and self._due() <= time.monotonic():
                self._left -= 1
                self.late.append(time.monotonic() - self._due())
                self._publish(next(self._numbers))
        if self._left:
            self._connection.ioloop.call_later(max(0.0, self._due() - time.monotonic() - EARLY_SECONDS), self._begin)

    def _send(self) -> None:
        """The clock sends; a confirm only tells when all is over."""
        if not self._left and not self._unconfirmed:
            self._connection.close()

    def _due(self) -> float:
        return self._begins + self._tag / self._rate


def main(url: str, mixture: str, seed: str, start: str, count: str, rate: str, begins: str) -> None:
    corpus, first = Corpus(mixture, int(seed)), int(start)
    for number in range(first, first + min(int(count), 50 * BLOCK), BLOCK):
        corpus.message(number)
    publisher = Paced(url, corpus, first, int(count), float(rate), float(begins))
    publisher.run()
    if publisher.failed:
        sys.exit(publisher.failed)
    print(sorted(publisher.late)[len(publisher.late) * 99 // 100])


if __name__ == "__main__":
    main(*sys.argv[1:])
