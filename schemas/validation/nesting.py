"""How deep JSON text nests, told from its bytes: the same number on every Python, whatever its decoder can follow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Final

_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_PEELED: Final = 16
_CHUNK: Final = 65536

_STEPPED: Final = sys.version_info < (3, 12)
"""The decoder's steps down are counted with Python's own, of which sys.getrecursionlimit() are allowed; from 3.12 on
C has an allowance of its own, ten times as much, that nothing sets."""
_MOST_ROOM: Final = 1000
"""Levels for which the allowance is raised: more could take a thread's whole stack."""


def too_deep(limit: int, body: bytes) -> bool:
    """Whether JSON text nests deeper than `limit`, as far as the decoder won't find out by itself.

    Where Python's own limit is lower it raises RecursionError, and a large body is spared being counted: that would
    cost more than all the rest of judging it.
    """
    return not (_STEPPED and limit >= sys.getrecursionlimit()) and deeper_than(limit, body)


@contextmanager
def room(limit: int) -> Iterator[None]:
    """Lets the decoder follow `limit` levels where Python's own steps have used up some of them, up to a bound."""
    before = sys.getrecursionlimit()
    if _STEPPED:
        sys.setrecursionlimit(before + min(limit, _MOST_ROOM))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def deeper_than(limit: int, body: bytes) -> bool:
    """Whether JSON text nests deeper than `limit`; linear work on any bytes, exact on JSON."""
    # A level is two brackets, in text that closes what it opens.
    if len(body) <= 2 * limit:
        return False
    bare = _without_escapes(body).translate(_SQUARE, _NO_STRUCTURE)
    # Those in strings too: most bodies are done with here.
    if bare.count(b"[") <= limit:
        return False
    brackets = _outside_strings(bare)
    if 2 * brackets.count(b"[") != len(brackets):
        return False  # No JSON: the parser will say so.
    for level in range(min(_PEELED, limit)):
        if len(brackets) <= 2 * (limit - level):
            return False
        # Every innermost pair at once: one pass is one level.
        brackets = brackets.replace(b"[]", b"")
    steps = (1 if each == ord("[") else -1 for each in brackets)
    return min(_PEELED, limit) + max(accumulate(steps), default=0) > limit


def _outside_strings(bare: bytes) -> bytes:
    """The brackets that are outside strings, of text that has nothing but square ones and quotes."""
    # Adjacent quotes have no bracket between them: a string, or a gap between two, that can go.
    bare = bare.replace(b'""', b"")
    if b'"' not in bare:
        return bare
    found: list[bytes] = []
    inside = 0
    for start in range(0, len(bare), _CHUNK):
        pieces = bare[start : start + _CHUNK].split(b'"')
        found.append(b"".join(pieces[inside::2]))
        inside = (inside + len(pieces) - 1) % 2
    return b"".join(found)


def _without_escapes(body: bytes) -> bytes:
    """The body without backslashes and the characters they escape; they stand in strings only."""
    if b"\\" not in body:
        return body
    first, *rest = body.split(b"\\")
    kept = [first]
    pieces = iter(rest)
    for piece in pieces:
        # An empty piece is a backslash escaped by another: what follows the pair is not escaped.
        kept.append(piece[1:] if piece else next(pieces, b""))
    return b"".join(kept)
