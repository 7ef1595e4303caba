"""Draws something again and again until Ctrl-C."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live

REDRAW_SECONDS: Final = 1.0


def watching(draw: Callable[[], RenderableType], console: Console) -> None:
    """Redraw in place on a terminal; one picture after the other elsewhere. Returns on Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        if not console.is_terminal:
            while True:
                console.print(draw())
                time.sleep(REDRAW_SECONDS)
        with Live(draw(), console=console, auto_refresh=False, screen=True) as live:
            while True:
                time.sleep(REDRAW_SECONDS)
                live.update(draw(), refresh=True)
