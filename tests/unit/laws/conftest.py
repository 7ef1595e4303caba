"""Laws read the source, while nothing else may happen."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _no_garbage_is_collected() -> Iterator[None]:
    """What other tests left to the collector may log a traceback as it goes; that parses source (Python 3.11), and two
    parses at once end with a SystemError."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
