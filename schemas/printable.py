"""What people are shown: times, and strangers' text: what would steer a terminal or hide is escaped."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

_HARMLESS: Final = frozenset({"Zs", "Co", "Cn"})
"""Not printable to Python, and yet no more than a mark or a gap: other spaces, characters it does not know."""


def printable(text: str, *, lines: bool = False) -> str:
    r"""The text with each control character, escape, direction mark and lone surrogate as `\u001b`.

    So are line breaks and tabs, that one value stays one value, unless `lines` asks for them as they are.
    """
    if text.isprintable():
        return text
    return "".join(each if _shown(each, lines) else _escaped(each) for each in text)


def _shown(character: str, lines: bool) -> bool:
    if character.isprintable() or (lines and character in "\n\t"):
        return True
    return unicodedata.category(character) in _HARMLESS


def _escaped(character: str) -> str:
    # As JSON has them, so that JSON stays JSON.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


_ENCODE: Final = msgspec.json.Encoder().encode


def to_ascii(value: Any) -> bytes:
    """Plain values as JSON in ASCII, whatever text is in them: a lone surrogate has no UTF-8, and much else steers a
    terminal. Raises TypeError for what is no JSON."""
    try:
        told = _ENCODE(value)
    except UnicodeEncodeError:
        told = b""
    return told if told and told.isascii() else json.dumps(value, separators=(",", ":")).encode()


_AGES: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def ago(then: datetime, now: datetime) -> str:
    """How long before `now`, in the largest unit that counts it: `3 min ago`."""
    seconds = (now - then).total_seconds()
    for size, unit in _AGES:
        if abs(seconds) >= size:
            return (
                f"{int(abs(seconds) // size)} {unit} ago" if seconds > 0 else f"in {int(abs(seconds) // size)} {unit}"
            )
    return "now"


def exact(then: datetime) -> str:
    """UTC, to the second."""
    return then.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
