"""The least that judging takes: one typed decode of each message, its data left as the sender's text."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from bench.corpus import NAMES, Corpus

_TEXTS: Final = [(name, str | None, None) for name in NAMES if name != "data"]
SHAPE: Final = msgspec.defstruct("Action", [*_TEXTS, ("data", msgspec.Raw, msgspec.Raw())], gc=False)


def seconds(corpus: Corpus, count: int) -> float:
    """Of processor time, for the first `count` messages."""
    bodies = [corpus.message(number) for number in range(count)]
    decode = msgspec.json.Decoder(SHAPE).decode
    began = time.process_time()
    for body in bodies:
        decode(body)
    return time.process_time() - began
