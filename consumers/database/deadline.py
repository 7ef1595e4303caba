"""Gives a database up whose server has fallen silent, so that what waits for it fails as in an outage.

Timeouts of the server's own do not help against a server that is gone, nor does TCP's keepalive when what is left of it
is a proxy or a stopped machine: only the client's clock does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


def limited(
    steps: Generator[Any, Any, T],
    seconds: float,
    give_up: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Any, Any, T]:
    """psycopg's steps of a wait, which it is resumed with now and then though nothing has come (a false answer).

    When nothing has come for `seconds`, `give_up` closes the connection, and psycopg.OperationalError is raised.
    """
    try:
        wanted = next(steps)
        heard = clock()
        while True:
            ready = yield wanted
            if ready:
                heard = clock()
            elif clock() - heard > seconds:
                give_up()
                raise psycopg.OperationalError(f"the server has said nothing for {seconds:g} s: connection given up")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result
