"""Asks a disk on a thread of its own: one that hangs holds up neither an answer nor the end of this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Asked = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Disk:
    """One thing after the other, in the order in which it was asked for.

    Not an executor's thread: Python waits for those at its end, for ever where a disk does not answer.
    """

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._name = name
        self._thread: threading.Thread | None = None

    async def do(self, what: Callable[..., T], *arguments: Any) -> T:
        """What it returns, or raises. Where nobody waits for it any more, it is done all the same."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._asked.put((loop, done, partial(what, *arguments)))
        return await done

    def end(self) -> None:
        """Nothing more is asked; what was asked for is done before."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            loop, done, what = asked
            result, error = None, None
            try:
                result = what()
            except BaseException as caught:
                error = caught
            # It may have ended meanwhile, and whoever waited with it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, done, result, error)


def _tell(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
