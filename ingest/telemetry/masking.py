"""What every log line goes through: secrets are masked, bodies become their length, repeated warnings are counted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

import structlog

Event = MutableMapping[str, Any]

_SECRET_NAME: Final = re.compile(r"(?i)(password|passwd|secret|token|authorization|api_?key|private_key)")
_URL_PASSWORD: Final = re.compile(r"(://[^/\s:@]*:)[^@\s]*(?=@)")
_PARAMETER: Final = re.compile(r"(?i)\b((?:ssl)?password=)[^&\s'\"]+")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{6,}")
_LONGEST: Final = 8192
"""Characters of one value: what a sender sent must not fill a disk by way of the log."""


def mask_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """Mask what is named like a secret or looks like one; bytes are never shown."""
    for name, value in event.items():
        kind = type(value)
        if kind is str:
            event[name] = _named_or_looks(name, value)
        elif kind in (bytes, bytearray, memoryview):
            event[name] = f"<{len(value)} bytes>"
        elif kind in (list, tuple):
            event[name] = [_named_or_looks(name, each) if type(each) is str else each for each in value]
    return event


@lru_cache(maxsize=256)
def _is_secret(name: str) -> bool:
    # Names are ours; one such as `token_name` says which one, not what it is.
    return _SECRET_NAME.fullmatch(name) is not None


def _named_or_looks(name: str, text: str) -> str:
    if _is_secret(name):
        return "***"
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\1***", text)
    if "assword=" in text or "ASSWORD=" in text:
        text = _PARAMETER.sub(r"\1***", text)
    if " " in text and ("earer " in text or "asic " in text or "EARER " in text):
        text = _BEARER.sub(r"\1 ***", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


class RepeatLimiter:
    """Lets the same warning or error through `most` times in `window` seconds, then keeps quiet; the first one of
    the next window says how many were dropped (`repeats`). Lines of level info, one a request or batch, all pass."""

    def __init__(
        self, most: int = 5, window: float = 60.0, clock: Callable[[], float] = time.monotonic, kept: int = 1000
    ) -> None:
        self._most = most
        self._window = window
        self._clock = clock
        self._kept = kept
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        if event.get("level") not in ("warning", "error"):
            return event
        key = tuple(str(event.get(name, ""))[:200] for name in ("level", "event", "why", "route", "worker"))
        now = self._clock()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= self._window:
            dropped = max(0, count - self._most)
            if dropped:
                event["repeats"] = dropped
            since, count = now, 0
        if key not in self._seen and len(self._seen) >= self._kept:
            # A flood of different words: forget the oldest half rather than grow.
            for old in list(self._seen)[: self._kept // 2]:
                del self._seen[old]
        self._seen[key] = (since, count + 1)
        if count + 1 > self._most:
            raise structlog.DropEvent
        return event
