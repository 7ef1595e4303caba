"""Stray bytes, those of a body that are no UTF-8: each is marked in its place in the text, and can be given back.

A mark is U+FFFD, which everybody sees, and a private character that says which byte it was. In a text with marks no
character of the sender passes for one: the bytes of those that would are marked as well.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SIGN: Final = "\ufffd"
_BASE: Final = 0x10F700
_MARKS: Final = {0xDC00 + byte: _SIGN + chr(_BASE + byte) for byte in range(0x80, 0x100)}
"""Python decodes a byte that is no UTF-8 as such half a surrogate pair."""
_LOOKALIKES: Final = {
    code: "".join(_MARKS[0xDC00 + byte] for byte in chr(code).encode()) for code in range(_BASE + 0x80, _BASE + 0x100)
}
_TABLE: Final = _MARKS | _LOOKALIKES
_TO_MARK: Final = re.compile("[\udc80-\udcff\U0010f780-\U0010f7ff]++")
_MARK: Final = re.compile(b"\xef\xbf\xbd\xf4\x8f([\x9e\x9f][\x80-\xbf])")
_BYTE_OF: Final = {chr(_BASE + byte).encode()[2:]: bytes([byte]) for byte in range(0x80, 0x100)}
_SPELLED: Final = re.compile(r"\\u(?i:dbfd)\\u(?i:df[89a-f])")
"""A lookalike as JSON escapes spell it; once read it could not be told from a mark."""
_GROWTH: Final = 6
"""How many bytes more than the byte itself a mark takes."""


class Marked(NamedTuple):
    """A body as text, and how many stray bytes are marked in it."""

    text: str
    strays: int


def mark(body: bytes, limit: int) -> Marked | None:
    """The text of a body that is no UTF-8. None where it would take more than `limit` bytes, or where it spells
    what passes for a mark by escapes."""
    text = body.decode("utf-8", "surrogateescape")
    strays = (len(text.encode("utf-8", "surrogatepass")) - len(body)) // 2
    if len(body) + _GROWTH * strays > limit or _SPELLED.search(text):
        return None
    marked = _TO_MARK.sub(lambda run: run[0].translate(_TABLE), text)
    return Marked(marked, strays)


def count(text: str) -> int:
    """How many marks there are in a text that has no lookalikes."""
    return 0 if text.isascii() else len(_MARK.findall(text.encode()))


def restore(text: str) -> bytes:
    """The bytes that a text with marks, or a part of it, was made of; the inverse of `mark`."""
    return _MARK.sub(lambda found: _BYTE_OF[found[1]], text.encode())
