"""Reads a request's query: each name once, its value as text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

_MOST: Final = 50
"""Fields; nothing here asks for as many."""

Query = Mapping[str, str]


def parse(raw: bytes) -> Query:
    """Name -> value, percent-decoded.

    Raises ValueError, in words for who asks, for what is no text or can't be told apart: a name that comes twice.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except UnicodeDecodeError:
        raise ValueError("the query is not UTF-8") from None
    except ValueError:
        raise ValueError(f"the query has more than {_MOST} fields") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} comes twice")
        if "\0" in name + value:
            raise ValueError("the query holds a zero byte")
        found[name] = value
    return found
