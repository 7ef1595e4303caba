"""The fast path: one typed decode for the messages that are as they should be; the rest go the long way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec

Fastpath = Callable[[bytes], list[Any] | None]
"""A body's values, by column, each exactly what the long way would find; None: go the long way."""

_KNOWN_KEYWORDS: Final = {
    "$schema", "title", "description", "type", "properties", "required", "dependencies", "enum", "pattern",
}  # fmt: skip

_NULL: Final = "null"


def compile_fastpath(schema: Mapping[str, Any], columns: Sequence[str], opaque: frozenset[str]) -> Fastpath | None:
    """A decoder made from the schema itself: it takes a body only if the schema does.

    `columns` are the members, in the order of the values; opaque ones come as text, and what only another
    profile's schema names is None. Taken are compact objects of the members that this schema names, each once,
    without escapes in any but the opaque ones. None for a schema that says more than is understood here.
    """
    properties = schema["properties"]
    if not set(properties) <= set(columns) or not set(schema) <= _KNOWN_KEYWORDS:
        return None
    unnamed = [at for at, name in enumerate(columns) if name not in properties]
    opaque = opaque.intersection(properties)
    columns = [name for name in columns if name in properties]
    required = set(schema["required"])
    fields = [_field(name, properties[name], name in required, name in opaque) for name in columns]
    if None in fields:
        return None
    shape = msgspec.defstruct("Fastpath", fields, kw_only=True, forbid_unknown_fields=True, gc=False)  # type: ignore[arg-type]
    decode = msgspec.json.Decoder(shape).decode
    values_of = attrgetter(*columns)
    # A member takes its key, two quotes, a colon and a comma, and its value; text has quotes of its own.
    rooms = {name: len(name) + (4 if name in opaque else 6) for name in columns}
    fixed = 1 + sum(rooms[name] for name in required)
    optional = [(at, rooms[name]) for at, name in enumerate(columns) if name not in required]
    nullable = [at for at, name in enumerate(columns) if properties[name].get("type") == ["string", "null"]]
    pairs = [
        (columns.index(one), columns.index(other))
        for one, others in schema.get("dependencies", {}).items()
        for other in others
    ]
    unread = [(columns.index(name), properties[name].get("type") == "object") for name in opaque]

    def read(body: bytes) -> list[Any] | None:
        try:
            values: list[Any] = list(values_of(decode(body)))
            length = fixed
            nulls = [at for at in nullable if values[at] is None]
            for at in nulls:
                values[at] = _NULL
            length += sum(map(len, values)) - 2 * len(nulls)
            for at, room in optional:
                if values[at]:
                    length += room
                else:
                    values[at] = None
            # Escapes, white space, members sent twice and empty ones take room that is not accounted for: what
            # fills the body exactly has none of them.
            if length != len(body) and length + sum(map(_more_bytes, values)) != len(body):
                return None
            for at in nulls:
                values[at] = None
            for at, object_only in unread:
                if values[at] is not None:
                    values[at] = text = str(values[at], "utf-8")
                    if object_only and text[0] != "{":
                        return None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        for one, other in pairs:
            if values[one] is not None and values[other] is None:
                return None
        for at in unnamed:
            values.insert(at, None)
        return values

    return read


def _more_bytes(value: str | msgspec.Raw | None) -> int:
    """How many more bytes than characters text has."""
    return len(value.encode()) - len(value) if type(value) is str and not value.isascii() else 0


def _field(name: str, schema: Mapping[str, Any], required: bool, opaque: bool) -> tuple[Any, ...] | None:
    """The member as a field of a typed decoder; None when its schema says more than a type can."""
    kind = msgspec.Raw if opaque else _type(schema)
    if kind is None or set(schema) - {"description"} - ({"type"} if opaque else _KNOWN_KEYWORDS):
        return None
    if not required and kind == str | None:
        return None
    return (name, kind) if required else (name, kind, "")


def _type(schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == ["string", "null"] and set(schema) <= {"type", "description"}:
        return str | None
    if schema.get("type") != "string":
        return None
    if "enum" in schema:
        return None if "pattern" in schema else Literal[tuple(schema["enum"])]
    if "pattern" in schema:
        # Like the reference, msgspec searches with Python's own `re`.
        return Annotated[str, msgspec.Meta(pattern=schema["pattern"])]
    return str
