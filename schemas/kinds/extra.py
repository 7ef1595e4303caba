"""The column `extra`: JSON text of an object with the members that no column holds as sent."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Final

import msgspec

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def raw_text(members: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """The JSON text of a member, None when it is absent."""
    raw = members.get(name)
    return None if raw is None else str(raw, "utf-8")


def pack(members: Mapping[str, msgspec.Raw], named: Container[str], respelled: Container[str] = ()) -> str | None:
    """The members that are not `named`, and those that are but were `respelled` for their column."""
    kept = {name: str(raw, "utf-8") for name, raw in members.items() if name not in named or name in respelled}
    return to_object(kept) if kept else None


def unpack(extra: str | None) -> dict[str, str]:
    """Member -> JSON text; the inverse of `pack`."""
    if extra is None:
        return {}
    return {name: str(raw, "utf-8") for name, raw in _MEMBERS.decode(extra).items()}


def to_object(texts: Mapping[str, str]) -> str:
    """A JSON object of members that are JSON text already."""
    return "{" + ",".join(f"{to_json(name)}:{text}" for name, text in texts.items()) + "}"


def to_json(value: str | None) -> str:
    """A string or null as JSON text, UTF-8 unescaped as Chef writes it."""
    return json.dumps(value, ensure_ascii=False)
