"""PostgreSQL's binary form of values, each as its column's type says: as COPY takes them, and in arrays."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.string import StrBinaryDumper

_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LENGTH: Final = struct.Struct("!i").pack
_INTEGER: Final = struct.Struct("!i").pack
_BIGINT: Final = struct.Struct("!q").pack
_ARRAY: Final = struct.Struct("!iiIii").pack
"""Dimensions, whether there may be NULLs, the elements' type, how many they are, and the first one's index."""


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Raises psycopg.DataError for a value that its column does not take, as the server does for one that comes as
    text."""
    try:
        yield
    except (ValueError, struct.error) as error:
        raise psycopg.DataError(str(error)) from error


class Array(bytes):
    """A parameter that is an array; the statement says of which type."""


def array(type_: str, values: Sequence[Any]) -> Array:
    """Values of a column's type as a parameter; None is NULL. Raises psycopg.DataError as `refusing`."""
    pack = _FORMS[type_]
    with refusing():
        packed = [None if value is None else pack(value) for value in values]
    elements = b"".join([_NULL if each is None else _LENGTH(len(each)) + each for each in packed])
    return Array(_ARRAY(1, 1, psycopg.adapters.types[type_].oid, len(values), 1) + elements)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _uuid(value: str) -> bytes:
    raw = bytes.fromhex(value.replace("-", ""))
    if len(raw) != 16:
        raise ValueError(f"{value!r} is no UUID")
    return raw


@lru_cache(maxsize=4096)
def _time(value: str) -> bytes:
    """Microseconds since 2000. Remembered: messages of one second have the same."""
    return _BIGINT((datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1))


_FORMS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "text": str.encode,
    "json": str.encode,
    "uuid": _uuid,
    "timestamptz": _time,
    "integer": _INTEGER,
    "bigint": _BIGINT,
}
"""By the column's type."""


def _dumper(type_: str) -> type[Dumper]:
    pack = _FORMS[type_]
    if pack is str.encode:
        # JSON is sent as its text; psycopg's own dumper is C.
        return StrBinaryDumper

    class OfType(Dumper):
        format = Format.BINARY
        oid = psycopg.adapters.types[type_].oid

        def dump(self, obj: Any) -> Buffer:
            return pack(obj)

    return OfType


DUMPERS: Final[Mapping[str, type[Dumper]]] = {each: _dumper(each) for each in _FORMS}
"""What COPY is told of each column's type: rows hold ids and times as text."""
