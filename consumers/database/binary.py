"""PostgreSQL's binary form of values, each as its column's type says: as COPY takes them, and in arrays."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LENGTH: Final = struct.Struct("!i").pack
_UUID: Final = struct.Struct("!i16s").pack
_INTEGER: Final = struct.Struct("!ii").pack
_BIGINT: Final = struct.Struct("!iq").pack
_ARRAY: Final = struct.Struct("!iiIii").pack
"""Dimensions, whether there may be NULLs, the elements' type, how many they are, and the first one's index."""


def packed(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Values of these types, each behind its length; None is NULL.

    Raises psycopg.DataError for what a column of that type does not take, as the server does for what comes as text.
    """
    try:
        return b"".join(
            [_NULL if value is None else _PACKS[type_](value) for value, type_ in zip(values, types, strict=True)]
        )
    except (ValueError, struct.error) as error:
        raise psycopg.DataError(str(error)) from error


class Array(bytes):
    """A parameter that is an array; the statement says of which type."""


def array(type_: str, values: Sequence[Any]) -> Array:
    """Values of one type as a parameter. Raises psycopg.DataError as `packed`."""
    return Array(_ARRAY(1, 1, _OIDS[type_], len(values), 1) + packed([type_] * len(values), values))


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


psycopg.adapters.register_dumper(Array, _ArrayDumper)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


def _uuid(value: str) -> bytes:
    raw = bytes.fromhex(value.replace("-", ""))
    if len(raw) != 16:
        raise ValueError(f"{value!r} is no UUID")
    return _UUID(16, raw)


@lru_cache(maxsize=4096)
def _time(value: str) -> bytes:
    """Microseconds since 2000. Remembered: messages of one second have the same."""
    return _BIGINT(8, (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1))


def _integer(value: int) -> bytes:
    return _INTEGER(4, value)


def _bigint(value: int) -> bytes:
    return _BIGINT(8, value)


_PACKS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "text": _text,
    "json": _text,
    "uuid": _uuid,
    "timestamptz": _time,
    "integer": _integer,
    "bigint": _bigint,
}
"""By the column's type."""
_OIDS: Final = {each: psycopg.adapters.types[each].oid for each in _PACKS}
