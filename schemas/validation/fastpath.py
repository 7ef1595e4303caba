"""The fast path: one typed decode for the messages that are as they should be; the rest go the long way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec.structs import astuple

Fastpath = Callable[[bytes], list[Any] | None]
"""A body's values, by column, each exactly what the long way would find; None: go the long way."""

_KNOWN_KEYWORDS: Final = {
    "$schema", "title", "description", "type", "properties", "required", "dependencies", "enum", "pattern",
}  # fmt: skip

_END: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\$")
"""What a pattern's own `$` is told from: escapes and classes."""


def compile_fastpath(schema: Mapping[str, Any], columns: Sequence[str], opaque: frozenset[str]) -> Fastpath | None:
    """A decoder made from the schema itself: it takes a body only if the schema does.

    `columns` are the members, in the order of the values; opaque ones come as text, and what only another
    profile's schema names is None. Taken are compact objects of the members that this schema names, each once, with
    no more escapes than JSON needs in any but the opaque ones. None for a schema that says more than is understood
    here.
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
    shape = msgspec.defstruct(
        "Fastpath",
        fields,  # type: ignore[arg-type]
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        gc=False,
    )
    decode, encode = msgspec.json.Decoder(shape).decode, msgspec.json.Encoder().encode
    pairs = [
        (columns.index(one), columns.index(other))
        for one, others in schema.get("dependencies", {}).items()
        for other in others
    ]
    unread = [(columns.index(name), properties[name].get("type") == "object") for name in opaque]

    def read(body: bytes) -> list[Any] | None:
        try:
            found = decode(body)
            # White space, members sent twice and escapes that need not be are longer than what is written of the
            # values again, and nothing is shorter.
            if len(encode(found)) != len(body):
                return None
            values = list(astuple(found))
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


def _field(name: str, schema: Mapping[str, Any], required: bool, opaque: bool) -> tuple[Any, ...] | None:
    """The member as a field of a typed decoder; None when its schema says more than a type can."""
    kind = msgspec.Raw if opaque else _type(schema)
    if kind is None or set(schema) - {"description"} - ({"type"} if opaque else _KNOWN_KEYWORDS):
        return None
    if not required and kind == str | None:
        return None
    return (name, kind) if required else (name, kind, None)


def _type(schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == ["string", "null"] and set(schema) <= {"type", "description"}:
        return str | None
    if schema.get("type") != "string":
        return None
    if "enum" in schema:
        return None if "pattern" in schema else Literal[tuple(schema["enum"])]
    if "pattern" in schema:
        # Like the reference, msgspec searches with Python's own `re`, to which `$` matches before a line break, too.
        return Annotated[str, msgspec.Meta(pattern=_END.sub(_at_the_end, schema["pattern"]))]
    return str


def _at_the_end(found: re.Match[str]) -> str:
    return r"\Z" if found[0] == "$" else found[0]
