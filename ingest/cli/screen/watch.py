"""Draws something again and again until q or Ctrl-C, and hears other keys meanwhile."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

REDRAW_SECONDS: Final = 1.0
KEYS_SECONDS: Final = 0.1
"""How soon a key is heard."""

T = TypeVar("T")


def watching(
    look: Callable[[], T],
    draw: Callable[[T, str], RenderableType],
    console: Console,
    keys: Mapping[str, Callable[[], str]],
) -> None:
    """Redraw in place on a terminal; one picture after the other elsewhere. Returns on q or Ctrl-C.

    `draw` gets what `look` has found and what the last of `keys` has led to. Looking may take its time: it is done by
    another thread, as is what keys ask for. Raises what `look` raises.
    """
    with contextlib.suppress(KeyboardInterrupt):
        if not console.is_terminal:
            while True:
                console.print(draw(look(), ""))
                time.sleep(REDRAW_SECONDS)
        looks, said, shown = Latest(look), [""], None
        live = Live(draw(looks.first(), ""), console=console, auto_refresh=False, screen=True)
        with _each_key(sys.stdin) as pressed, live:
            while (key := pressed()) != "q":
                if key in keys:
                    threading.Thread(target=_obey, args=(keys[key], said), daemon=True).start()
                shown, before = (looks.latest(), said[0], int(time.monotonic() / REDRAW_SECONDS)), shown
                if shown != before:
                    live.update(draw(*shown[:2]), refresh=True)


class Latest(Generic[T]):
    """What was seen last, by a thread that looks again a second after each look."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._seen: list[T] = []
        self._fault: list[Exception] = []
        self._ready = threading.Event()
        threading.Thread(target=self._run, name="look", daemon=True).start()

    def first(self) -> T:
        """Wait for it."""
        self._ready.wait()
        return self.latest()

    def latest(self) -> T:
        """Raises what looking raised."""
        if self._fault:
            raise self._fault[0]
        return self._seen[-1]

    def _run(self) -> None:
        while not self._fault:
            try:
                self._seen[:] = [self._look()]
            except Exception as fault:
                self._fault.append(fault)
            self._ready.set()
            time.sleep(REDRAW_SECONDS)


def _obey(ask: Callable[[], str], said: list[str]) -> None:
    said[0] = ask()


def _no_key() -> str:
    time.sleep(KEYS_SECONDS)
    return ""


@contextlib.contextmanager
def _each_key(stdin: object) -> Iterator[Callable[[], str]]:
    """A key as it is pressed, without Return, or nothing within a moment; the terminal is as before afterwards."""
    try:
        descriptor: int = stdin.fileno()  # type: ignore[attr-defined]
        before = termios.tcgetattr(descriptor)
    except (AttributeError, OSError, ValueError, termios.error):
        yield _no_key
        return

    def pressed() -> str:
        if not select.select([descriptor], [], [], KEYS_SECONDS)[0]:
            return ""
        # No more to be read: the terminal is gone, and nobody can press q any more.
        return os.read(descriptor, 1).decode("ascii", "replace") or "q"

    try:
        tty.setcbreak(descriptor, termios.TCSANOW)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
