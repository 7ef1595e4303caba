"""A kind's schema in one profile, compiled: what it names, the fast validator, and the reference that decides."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import msgspec
from jsonschema import Draft4Validator
from jsonschema_rs import Draft4Validator as FastDraft4Validator

from schemas.kinds.columns import Row, columns
from schemas.kinds.formats import Fault
from schemas.kinds.kind import Document, Kind
from schemas.message import Message
from schemas.validation.decode import Body
from schemas.validation.drift import Documented
from schemas.validation.fastpath import compile_fastpath
from schemas.verdict import Invalid
from schemas.wording import first, shorten

_VALUE: Final = msgspec.json.Decoder()
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])

DOCUMENTED: Final = "documented"
"""The profile of what Chef's documentation says."""
_SMALL: Final = 65536
"""An object or array longer than this stands where a short value belongs: it is not worth its memory."""
_MOST_OBJECTS: Final = 300_000
"""Each costs more memory than its text; a hundred thousand resources have three each."""

_EMPTY: Final[Mapping[int, Callable[[], Any]]] = {
    ord("{"): dict,
    ord("["): list,
    ord('"'): str,
    ord("t"): lambda: True,
    ord("f"): lambda: False,
    ord("n"): lambda: None,
}


@dataclass(frozen=True, slots=True)
class Validator:
    """What one kind's messages must be by one schema.

    `plain` members are read for the schema to see; `elements` is member -> plain members of each object in
    it; `patterned` members have a pattern. `is_valid` is fast and only trusted when it says yes.
    """

    kind: Kind
    faults: Callable[[Message, Mapping[str, Any]], dict[str, Fault]]
    plain: frozenset[str]
    elements: Mapping[str, frozenset[str]]
    patterned: frozenset[str]
    is_valid: Callable[[Any], bool]
    reference: Draft4Validator
    fastpath: Callable[[bytes], Row | None] | None = None
    """The row of a body that is as it should be, found in one step; None from it: go the long way."""
    documented: Documented | None = None
    """What the kind's documented schema says, where this is another one."""
    owner: str | None = None
    """The member that names whose the row is; None: the envelope does."""

    def read(self, body: Body) -> Document | Invalid:
        """The values that the schema sees. A number beyond what can be read is refused by name."""
        members, kind = body.members, self.kind
        try:
            if len(body.text) > _SMALL:
                values = {name: _bounded(raw) for name, raw in members.items() if name in self.plain}
            else:
                values = {name: _VALUE.decode(raw) for name, raw in members.items() if name in self.plain}
            for name in kind.opaque:
                if name in members:
                    values[name] = _empty(members[name])
            elements: dict[str, list[dict[str, msgspec.Raw]]] = {}
            for name, opaque in kind.elements.items():
                if name in members:
                    if _too_many(members[name]):
                        text = f"more than {_MOST_OBJECTS} objects in it"
                        return Invalid("decode", "too_many_elements", {name: text})
                    values[name], elements[name] = self._read_elements(name, members[name], opaque)
        except msgspec.ValidationError:
            return self._unreadable(members)
        return Document(body.text, members, values, elements)

    def _read_elements(
        self, name: str, raw: msgspec.Raw, opaque: frozenset[str]
    ) -> tuple[Any, list[dict[str, msgspec.Raw]]]:
        try:
            objects = _OBJECTS.decode(raw)
        except msgspec.ValidationError:
            # No array of objects: the schema will say so.
            return _bounded(raw), []
        plain = self.elements[name]
        return [
            {
                each: _empty(text) if each in opaque else _bounded(text)
                for each, text in members.items()
                if each in plain or each in opaque
            }
            for members in objects
        ], objects

    def _unreadable(self, members: Mapping[str, msgspec.Raw]) -> Invalid:
        details: dict[str, str] = {}
        for name in members.keys() & (self.plain | self.elements.keys()):
            details |= self._faults(name, members[name])
        return Invalid("decode", "number_too_large", first(details))

    def _faults(self, name: str, raw: msgspec.Raw) -> dict[str, str]:
        """Field -> text, of each number in a member that can't be read."""
        found = {name: raw}
        if name in self.elements:
            with contextlib.suppress(msgspec.ValidationError):
                plain = self.elements[name]
                found = {
                    f"{name}.{index}.{each}": members[each]
                    for index, members in enumerate(_OBJECTS.decode(raw))
                    for each in members.keys() & plain
                }
        details: dict[str, str] = {}
        for field, text in found.items():
            try:
                _bounded(text)
            except msgspec.ValidationError as error:
                details[field] = shorten(str(error))
        return details


def compile_validator(kind: Kind, profile: str) -> Validator:
    """Reads the schema file of `profile` and compiles it."""
    schema = _schema(kind, profile)
    properties = schema["properties"]
    fast = FastDraft4Validator(schema, validate_formats=False)
    return Validator(
        kind=kind,
        faults=kind.profile_faults.get(profile, kind.faults),
        plain=properties.keys() - kind.opaque - kind.elements.keys(),
        elements={
            name: frozenset(properties[name]["items"]["properties"]) - opaque for name, opaque in kind.elements.items()
        },
        patterned=frozenset(name for name, each in properties.items() if "pattern" in each),
        is_valid=fast.is_valid,
        reference=Draft4Validator(schema),
        fastpath=_fastpath(kind, schema),
        documented=None if kind.schemas[profile] == kind.schemas[DOCUMENTED] else _documented(kind),
        owner=next((each.member for each in columns(kind.row) if each.owner), None),
    )


def _schema(kind: Kind, profile: str) -> Any:
    return json.loads((files("schemas.kinds") / kind.name / kind.schemas[profile]).read_text(encoding="utf-8"))


def _documented(kind: Kind) -> Documented:
    schema = _schema(kind, DOCUMENTED)
    return Documented(
        faults=kind.faults,
        members=schema["properties"],
        required=schema["required"],
        opaque=kind.opaque,
        columns=() if kind.fastpath is None else kind.fastpath[0],
        schema=FastDraft4Validator(schema, validate_formats=False),
        fastpath=_fastpath(kind, schema),
    )


def _fastpath(kind: Kind, schema: Mapping[str, Any]) -> Callable[[bytes], Row | None] | None:
    if kind.fastpath is None:
        return None
    members, row = kind.fastpath
    read = compile_fastpath(schema, members, kind.opaque)
    if read is None:
        return None
    return lambda body: None if (values := read(body)) is None else row(values)


def _empty(raw: msgspec.Raw) -> Any:
    """An empty value of the JSON type that the text has, by its first byte."""
    return _EMPTY.get(memoryview(raw)[0], int)()


def _too_many(raw: msgspec.Raw) -> bool:
    return len(raw) > 2 * _MOST_OBJECTS and bytes(raw).count(b"{") > _MOST_OBJECTS


def _bounded(raw: msgspec.Raw) -> Any:
    # Only what has members costs more memory than its text. A number is read or refused, never guessed.
    if len(raw) > _SMALL and memoryview(raw)[0] in b"{[":
        return _empty(raw)
    return _VALUE.decode(raw)
