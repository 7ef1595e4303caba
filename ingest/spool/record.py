"""A message as bytes in a file, and back: found again behind whatever is damaged or cut off, and never mistaken."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.message import Message

_MAGIC: Final = b"chef-ingest spool 1\n"
_MARK_BYTES: Final = 8
PREAMBLE_BYTES: Final = len(_MAGIC) + _MARK_BYTES
"""With what a segment begins: what it is, and its mark, which is drawn at random, so that nothing that a sender writes
can pass for a record."""

_HEAD: Final = struct.Struct(f">{_MARK_BYTES}sBIII")
"""The mark, whether it waits, the length of the rest, that length's checksum, the rest's checksum."""
STATE_OFFSET: Final = _MARK_BYTES
"""Where in a record the one byte is that changes."""
_WAITING: Final = ord("w")
DRAINED: Final = b"d"
_ENVELOPE: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Record:
    """A whole one: `received` is the UNIX time, in seconds, at which its message came; `drained`: the broker has it."""

    offset: int
    size: int
    drained: bool
    received: int
    message: Message


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that were a record, or several."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Torn:
    """The beginning of a last record, of which nobody was told that it is kept: its writer died in the middle."""

    offset: int
    size: int


Piece = Record | Damaged | Torn


def preamble() -> bytes:
    """The beginning of a new segment."""
    return _MAGIC + os.urandom(_MARK_BYTES)


def encode(preamble: bytes, message: Message, received: int) -> bytes:
    """A record for the segment that begins so."""
    facts = {name: value for name, value in msgspec.structs.asdict(message).items() if name != "payload"}
    envelope = msgspec.json.encode(facts | {"received": received})
    rest = b"".join((_ENVELOPE.pack(len(envelope)), envelope, message.payload))
    checks = _check_of(len(rest)), zlib.crc32(rest)
    return _HEAD.pack(preamble[-_MARK_BYTES:], _WAITING, len(rest), *checks) + rest


def scan(data: bytes) -> Iterator[Piece]:
    """All that is in a segment, in order and without gaps after its preamble; never raises."""
    if len(data) < PREAMBLE_BYTES or not data.startswith(_MAGIC):
        begun = _MAGIC.startswith(data[: len(_MAGIC)]) or _blank(data, 0)
        if data:
            yield Torn(0, len(data)) if begun else Damaged(0, len(data))
        return
    mark, at = data[len(_MAGIC) : PREAMBLE_BYTES], PREAMBLE_BYTES
    while at < len(data):
        found = _read(data, at, mark)
        yield found
        at += found.size


def _read(data: bytes, at: int, mark: bytes) -> Piece:
    rest = len(data) - at
    if rest < _HEAD.size:
        begun = data[at : at + len(mark)]
        return Torn(at, rest) if mark.startswith(begun) or _blank(data, at) else Damaged(at, rest)
    found_mark, state, length, check, checksum = _HEAD.unpack_from(data, at)
    if found_mark != mark or check != _check_of(length):
        return Torn(at, rest) if _blank(data, at) else Damaged(at, _next(data, at + 1, mark) - at)
    size = _HEAD.size + length
    if size > rest:
        return Torn(at, rest)
    body = data[at + _HEAD.size : at + size]
    record = None if zlib.crc32(body) != checksum else _decoded(at, state, body)
    return record or Damaged(at, size)


def _decoded(at: int, state: int, body: bytes) -> Record | None:
    try:
        (length,) = _ENVELOPE.unpack_from(body)
        split = _ENVELOPE.size + length
        facts = msgspec.json.decode(body[_ENVELOPE.size : split])
        message = msgspec.convert({**facts, "payload": body[split:]}, Message)
        return Record(at, _HEAD.size + len(body), bytes((state,)) == DRAINED, int(facts["received"]), message)
    except (struct.error, msgspec.MsgspecError, TypeError, KeyError, ValueError):
        return None


def _next(data: bytes, at: int, mark: bytes) -> int:
    """Where, from there on, a record begins; the end if none does."""
    while (at := data.find(mark, at)) >= 0:
        if _begins(data, at):
            return at
        at += 1
    return len(data)


def _begins(data: bytes, at: int) -> bool:
    if len(data) - at < _HEAD.size:
        return True
    _, _, length, check, _ = _HEAD.unpack_from(data, at)
    return bool(check == _check_of(length))


def _check_of(length: int) -> int:
    return zlib.crc32(length.to_bytes(4, "big"))


def _blank(data: bytes, at: int) -> bool:
    """Nothing but zeros: after a power cut a file may have its length and not its content."""
    return not data[at:].strip(b"\0")
