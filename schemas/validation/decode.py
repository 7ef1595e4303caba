"""From payload to members: inflated within bounds, JSON in UTF-8, each member still the sender's text."""

from __future__ import annotations

import re
import zlib
from typing import Final, NamedTuple

import msgspec

from schemas.kinds.stray import mark
from schemas.validation.nesting import deeper_than, too_deep
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
_EMPTY: Final = "the body is empty: it must be a JSON object"


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
    """The body's members, or the first reason why there are none. Raises RecursionError for what this interpreter
    can't follow though `max_depth` allows it.

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
    if too_deep(max_depth, body):
        return _refuse("too_deep", f"nested deeper than {max_depth} levels")
    try:
        members = _MEMBERS.decode(body)
    except msgspec.ValidationError as error:
        return _refuse("not_object", f"must be a JSON object: {error}")
    except msgspec.DecodeError as error:
        return _refuse("not_json", _damage(body, error))
    except RecursionError:
        if deeper_than(max_depth, body):
            return _refuse("too_deep", f"nested deeper than {max_depth} levels")
        raise
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
            return _refuse("not_gzip", "can't be inflated: it ends in the middle" if payload else _EMPTY)
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


def _damage(body: bytes, error: msgspec.DecodeError) -> str:
    """What is wrong with what is no JSON. The parser calls nothing at all and a part of something truncated alike."""
    if not body.strip(_WHITE):
        return _EMPTY
    return "the body ends before its JSON does: it was cut off" if "truncated" in str(error) else str(error)


def _too_large(limit: int) -> Invalid:
    return _refuse("too_large", f"more than {limit} bytes, the largest body taken")


def _refuse(reason: str, text: str) -> Invalid:
    return Invalid("decode", reason, {"message": text})
