"""What a process that lives long wants of Python's garbage collector."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Call it once everything is loaded, which is never garbage; messages make hardly any cycles after that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
