"""The column `extra`: JSON text of an object with the members that no column holds as sent.

Of a row in which bytes that are no UTF-8 are marked it begins with a flag, which is no member: how many they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from typing import Final

import msgspec

FLAG: Final = '{"[not utf-8]":'
"""How the `extra` of a row with marked bytes begins, and no other."""

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FLAGGED: Final = re.compile(re.escape(FLAG) + "[0-9]++,?+")


def raw_text(members: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """The JSON text of a member, None when it is absent."""
    raw = members.get(name)
    return None if raw is None else str(raw, "utf-8")


def pack(members: Mapping[str, msgspec.Raw], named: Container[str], respelled: Container[str] = ()) -> str | None:
    """The members that are not `named`, and those that are but were `respelled` for their column."""
    kept = {name: str(raw, "utf-8") for name, raw in members.items() if name not in named or name in respelled}
    if not kept:
        return None
    packed = to_object(kept)
    # A sender's own member of the flag's name is told from the flag by a space.
    return "{ " + packed[1:] if packed.startswith(FLAG) else packed


def unpack(extra: str | None) -> dict[str, str]:
    """Member -> JSON text; the inverse of `pack`."""
    if extra is None:
        return {}
    flag = _FLAGGED.match(extra)
    packed = "{" + extra[flag.end() :] if flag else extra
    return {name: str(raw, "utf-8") for name, raw in _MEMBERS.decode(packed).items()}


def flagged(extra: str | None, strays: int) -> str:
    """The same with the flag: so many bytes are marked."""
    return f"{FLAG}{strays}{',' + extra[1:] if extra else '}'}"


def is_flagged(extra: str | None) -> bool:
    """Whether bytes are marked in the row."""
    return extra is not None and extra.startswith(FLAG)


def to_object(texts: Mapping[str, str]) -> str:
    """A JSON object of members that are JSON text already."""
    return "{" + ",".join(f"{to_json(name)}:{text}" for name, text in texts.items()) + "}"


def to_json(value: str | None) -> str:
    """A string or null as JSON text, UTF-8 unescaped as Chef writes it."""
    return json.dumps(value, ensure_ascii=False)
