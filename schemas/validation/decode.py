"""From payload to members: inflated within bounds, JSON in UTF-8, each member still the sender's text."""

from __future__ import annotations

import re
import zlib
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from schemas.kinds.stray import mark
from schemas.verdict import Invalid
from schemas.wording import shorten

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KEY: Final = msgspec.json.Decoder(str)

_GZIP_MEMBERS: Final = 64
"""More than any sender has a reason for; each costs a copy of what follows it."""
_MOST_MEMBERS: Final = 1000
"""The same at the top of a body; each costs more memory than its text."""

# Possessive, so that neither a long key nor a long run of escapes piles up backtracking state.
_MEMBER_HEAD: Final = re.compile(r'[{,][ \t\n\r]*+("(?:[^"\\]++|\\.)*+")[ \t\n\r]*+:[ \t\n\r]*+')
_SPACE: Final = re.compile(r"[ \t\n\r]*+")

_WHITE: Final = b" \t\n\r"

DECODER_LEVELS: Final = 1000
"""About where msgspec raises RecursionError: Python's own recursion limit. PostgreSQL's parser goes deeper."""

_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_PEELED: Final = 16
_CHUNK: Final = 65536


class Body(NamedTuple):
    """A decoded body: its whole text, and each top-level member's JSON text, in the order sent.

    `strays`: how many of its bytes were no UTF-8, and are marked in all of these texts.
    """

    text: str
    members: dict[str, msgspec.Raw]
    strays: int = 0


def decode(
    payload: bytes, content_encoding: str | None, *, max_bytes: int, max_depth: int, strays: bool = False
) -> Body | Invalid:
    """The body's members, or the first reason why there are none; never raises.

    `max_bytes` bounds the inflated body, and with it the memory this takes; `max_depth` bounds nesting. With `strays`
    bytes that are no UTF-8 are marked in the text; without, they are a reason.
    """
    body = inflate(payload, content_encoding, max_bytes)
    if isinstance(body, Invalid):
        return body
    try:
        return _members(body, body.decode(), max_depth)
    except UnicodeDecodeError as error:
        refused = _refuse("not_utf8", f"not UTF-8: {error.reason} (byte {error.start})")
    marked = mark(body, max_bytes) if strays else None
    if marked is None:
        return refused
    decoded = _members(marked.text.encode(), marked.text, max_depth)
    if isinstance(decoded, Invalid):
        # No JSON either, such as UTF-16: the first reason is the one that helps.
        return refused if decoded.reason == "not_json" else decoded
    return decoded._replace(strays=marked.strays)


def _members(body: bytes, text: str, max_depth: int) -> Body | Invalid:
    if text.startswith("\ufeff"):
        return _refuse("not_utf8", "starts with a byte order mark; send UTF-8 without one")
    if deeper_than(max_depth, body):
        return _refuse("too_deep", f"nested deeper than {max_depth} levels")
    try:
        members = _MEMBERS.decode(body)
    except msgspec.ValidationError as error:
        return _refuse("not_object", f"must be a JSON object: {error}")
    except msgspec.DecodeError as error:
        return _refuse("not_json", str(error))
    except RecursionError:
        return _refuse("too_deep", "nested deeper than this machine can read")
    if len(members) > _MOST_MEMBERS:
        return _refuse("too_many_members", f"more than {_MOST_MEMBERS} members")
    if not _accounts_for(body, members):
        twice = _first_duplicate(text, members)
        if twice is not None:
            return Invalid("decode", "duplicate_member", {shorten(twice): "appears more than once"})
    return Body(text, members)


def inflate(payload: bytes, content_encoding: str | None, limit: int) -> bytes | Invalid:
    """The body behind `content_encoding`, of `limit` bytes at most; a bomb takes no more memory than that."""
    encoding = (content_encoding or "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return _gunzip(payload, limit)
    if encoding not in ("", "identity"):
        text = f"{shorten(encoding)!r} is not supported; send gzip or no encoding"
        return _refuse("content_encoding", text)
    return payload if len(payload) <= limit else _too_large(limit)


def _gunzip(payload: bytes, limit: int) -> bytes | Invalid:
    pieces: list[bytes] = []
    room, rest = limit, payload
    for _ in range(_GZIP_MEMBERS):
        inflater = zlib.decompressobj(wbits=31)
        try:
            # One byte more than there is room for tells a full body from one too large.
            pieces.append(inflater.decompress(rest, room + 1))
        except zlib.error as error:
            return _refuse("not_gzip", f"can't be inflated: {error}")
        room -= len(pieces[-1])
        if room < 0:
            return _too_large(limit)
        if not inflater.eof:
            return _refuse("not_gzip", "can't be inflated: it ends in the middle")
        rest = inflater.unused_data
        if not rest:
            return b"".join(pieces)
    return _refuse("not_gzip", f"more than {_GZIP_MEMBERS} gzip members in one body")


def beginning(payload: bytes, content_encoding: str | None, most: int) -> bytes:
    """The first bytes of a body too large to be inflated whole; empty where it can't be inflated."""
    if (content_encoding or "").strip().lower() in ("gzip", "x-gzip"):
        inflater = zlib.decompressobj(wbits=31)
        try:
            return inflater.decompress(payload, most)
        except zlib.error:
            return b""
    return payload[:most]


def deeper_than(limit: int, body: bytes) -> bool:
    """Whether JSON text nests deeper than `limit`; linear work on any bytes, exact on JSON.

    Never from `DECODER_LEVELS` on: there the decoder has a limit of its own, and asking would cost more than
    all the rest of judging a large body.
    """
    # A level is two brackets, in text that closes what it opens.
    if limit >= DECODER_LEVELS or len(body) <= 2 * limit:
        return False
    brackets = _brackets(body)
    if len(brackets) <= 2 * limit or 2 * brackets.count(b"[") != len(brackets):
        return False  # Too few, or no JSON: the parser will say so.
    for _ in range(min(_PEELED, limit)):
        if not brackets:
            return False
        # Every innermost pair at once: one pass is one level.
        brackets = brackets.replace(b"[]", b"")
    steps = (1 if each == ord("[") else -1 for each in brackets)
    return min(_PEELED, limit) + max(accumulate(steps), default=0) > limit


def _brackets(body: bytes) -> bytes:
    """The brackets outside strings, all of them made square."""
    bare = _without_escapes(body).translate(_SQUARE, _NO_STRUCTURE)
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


def _accounts_for(body: bytes, members: dict[str, msgspec.Raw]) -> bool:
    """Cheap proof that no member is there twice: the distinct ones fill the body, but for white space.

    False proves nothing. A key is never longer than its bytes, so a duplicate always leaves a gap.
    """
    punctuation = 1 + 4 * len(members)
    if punctuation + len("".join(members)) + sum(map(len, members.values())) == len(body):
        return True
    keys, values = "".join(members).encode(), b"".join(members.values())
    squeezed = len(keys.translate(None, _WHITE)) + len(values.translate(None, _WHITE))
    return punctuation + squeezed == len(body.translate(None, _WHITE))


def _first_duplicate(text: str, members: dict[str, msgspec.Raw]) -> str | None:
    """The first member of valid JSON object `text` that is there twice.

    `members` holds the last value of each: where another one stands, the member comes again.
    """
    seen: set[str] = set()
    position = text.index("{")
    while head := _MEMBER_HEAD.match(text, position):
        member = _KEY.decode(head[1])
        value = str(members[member], "utf-8")
        position = _after_space(text, head.end() + len(value))
        if member in seen or not text.startswith(value, head.end()) or text[position] not in ",}":
            return member
        seen.add(member)
    return None


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _too_large(limit: int) -> Invalid:
    return _refuse("too_large", f"more than {limit} bytes, the largest body taken")


def _refuse(reason: str, text: str) -> Invalid:
    return Invalid("decode", reason, {"message": text})
