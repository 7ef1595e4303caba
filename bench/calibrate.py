"""A fixed piece of work on one core, done whenever a line comes in; says the seconds that the best of three took."""

from __future__ import annotations

import os
import sys
import time

TRIES = 3
"""What our own servers still do after a measurement disturbs one of them, a busy machine all."""
STEPS = 150_000


def work() -> int:
    """Always the same: whole numbers, no memory to speak of, nothing that waits."""
    total = 0
    for step in range(STEPS):
        total = (total + step * step) & 0xFFFF
    return total


def best() -> float:
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main(core: int) -> None:
    os.sched_setaffinity(0, {core})
    for _ in sys.stdin:
        print(best(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
