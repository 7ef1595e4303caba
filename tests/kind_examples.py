"""The example messages of the kinds, `tests/messages/<kind>/{valid,refused,before}/*.json`, and variations of them.

A file is the body of a message, as it is sent; its envelope is the one that `validate` takes it to have. A valid one
that only the schema profile `wire` takes is called `NAME.wire.json`; a refused one begins with the field that is told,
`FIELD--NAME.json`. What stands in `before` has to be stored first: it is given the key of the message that needs it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ingest.cli.validate import guess
from schemas.doors import DOORS, IMPLIED
from schemas.kinds import KINDS
from schemas.kinds.columns import Column, Row, columns
from schemas.kinds.extra import unpack
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.judge import Candidate, Judge

MESSAGES = Path(__file__).parent / "messages"


class Example(NamedTuple):
    """One file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def wire(self) -> bool:
        return self.name.endswith(".wire")

    @property
    def field(self) -> str:
        """Of a refused one: what is wrong."""
        return self.name.partition("--")[0]

    @property
    def message(self) -> Message:
        return guess(self.path.read_bytes(), door(self.path.parent.parent.name, wire=self.wire))


def door(kind: str, *, wire: bool = False) -> str:
    """The word of a door that a kind comes by, and that has the profile; the implied one of a kind that has no door."""
    own = [each for each in DOORS if kind in each.kinds]
    fitting = [each for each in own if (getattr(Settings(), each.profile) == "wire") == wire]
    return (fitting or own)[0].word if own else IMPLIED


def examples(kind: str, folder: str) -> list[Example]:
    """Those of a kind, by name."""
    return [Example(path) for path in sorted((MESSAGES / kind / folder).glob("*.json"))]


def first(kind: str) -> Message:
    """The kind's first valid example that every profile takes."""
    return next(each for each in examples(kind, "valid") if not each.wire).message


@cache
def judge(**settings: Any) -> Judge:
    return Judge.from_settings(Settings(**settings))


def row_of(message: Message, judged: Judge | None = None) -> Row:
    """The row that a valid message makes."""
    judgement = (judged or judge())(message)
    assert isinstance(judgement, Candidate), judgement
    return judgement.row


def key_column(kind: str) -> Column:
    """The first column of a row is its key."""
    return columns(KINDS[kind].row)[0]


def key_of(message: Message) -> Any:
    return row_of(message)[0]


def with_key(message: Message, key: Any) -> Message:
    """The same message of another thing: its key is in the body, and in the URL of a run report."""
    body = json.loads(message.payload) | {key_column(message.kind).member or "": key}
    return with_body(msgspec.structs.replace(message, run_id=message.run_id and key), body)


def with_new_key(message: Message) -> Message:
    """One that nobody has sent yet."""
    made: Mapping[str, Any] = {"integer": 1_000_000 + uuid.uuid4().int % 1_000_000, "text": f"key {uuid.uuid4()}"}
    body = json.loads(message.payload)
    if "node_name" in body:
        # Of a node all its own, or what is the latest of it would be another message's.
        message = with_body(message, body | {"node_name": f"node {uuid.uuid4()}"})
    return with_key(message, made.get(key_column(message.kind).type.removeprefix("big"), str(uuid.uuid4())))


def with_body(message: Message, body: Mapping[str, Any]) -> Message:
    return msgspec.structs.replace(message, payload=json.dumps(body).encode(), content_encoding=None)


def before(message: Message) -> list[Message]:
    """What must be there first."""
    return [with_key(each.message, key_of(message)) for each in examples(message.kind, "before")]


def as_sent(row: Row) -> dict[str, Any]:
    """Member -> value, as columns and `extra` tell; nulls left out, numbers and booleans as text."""
    described = columns(type(row))
    [extra] = [value for value, column in zip(row, described, strict=True) if column.extra]
    found = {member: json.loads(text) for member, text in unpack(extra).items()}
    for value, column in zip(row, described, strict=True):
        if column.rows is not None:
            found[column.field] = [as_sent(each) for each in value]
        elif column.member is not None and value is not None:
            found.setdefault(column.member, json.loads(value) if column.json else value)
    return plain(found)


def plain(members: Mapping[str, Any]) -> dict[str, Any]:
    """Members to compare: nulls are absent, numbers and booleans text."""
    return {
        name: str(value).lower() if isinstance(value, int) else value
        for name, value in members.items()
        if value is not None
    }


def sent(message: Message) -> dict[str, Any]:
    """What `as_sent` is to find."""
    kind = KINDS[message.kind]
    described = {column.member: column for column in columns(kind.row)}
    found = plain(json.loads(message.payload))
    for name, column in described.items():
        if column.rows is not None and name is not None:
            found[name] = [plain(each) for each in found[name]]
    # What the kind is known by need not be kept.
    return {name: value for name, value in found.items() if name in described or name not in kind.sign}


def schema_of(kind: str) -> dict[str, Any]:
    """Its published schema."""
    found: dict[str, Any] = json.loads(
        (files("schemas.kinds") / kind / KINDS[kind].schemas["documented"]).read_text("utf-8")
    )
    return found


class Change(NamedTuple):
    """A message that differs from a stored one in one member, and the column that holds it."""

    message: Message
    column: Column
    fine: bool
    """Another value is no conflict."""


def changes(message: Message) -> Iterator[Change]:
    """Every member changed once that can be, and one added that no schema names; also in the rows within."""
    kind, body, schema = KINDS[message.kind], json.loads(message.payload), schema_of(message.kind)
    for column, name, value in _members(columns(kind.row)[1:], body):
        yield from _changed(message, column, lambda new, name=name: body | {name: new}, value, schema, name)
        for inner, inner_name, inner_value in _members(columns(column.rows), value[0]) if column.rows and value else ():
            items = schema["properties"][name]["items"]

            def put(new: Any, name: str = name, inside: str = inner_name, value: Any = value) -> dict[str, Any]:
                return body | {name: [value[0] | {inside: new}, *value[1:]]}

            for change in _changed(message, inner, put, inner_value, items, inner_name):
                yield change._replace(fine=change.fine or column.kept or column.merged)


def _members(described: Any, body: Mapping[str, Any]) -> Iterator[tuple[Column, str, Any]]:
    for column in described:
        if column.member is not None:
            yield column, column.member, body.get(column.member)
        elif column.extra:
            yield column, "unheard_of", None


def _changed(
    message: Message, column: Column, put: Any, value: Any, schema: Mapping[str, Any], name: str
) -> Iterator[Change]:
    """The first other value that is taken and means something else; none where there is no other."""
    described = schema["properties"].get(name, {})
    for other in [*described.get("enum", ()), *_others(value)]:
        made = with_body(message, put(other))
        judgement = judge()(made)
        if other != value and isinstance(judgement, Candidate) and judgement.row != row_of(message):
            yield Change(made, column, column.kept or column.merged)
            return


def _others(value: Any) -> list[Any]:
    texts = ["7", "2026-11-20T01:02:03Z", str(uuid.uuid4()), "another"]
    if isinstance(value, str):
        return [value + "x", *texts]
    if isinstance(value, dict):
        return [value | {"another": 1}]
    if isinstance(value, list):
        return [value + value[:1], [*value, {"another": 1}], []]
    if isinstance(value, bool):
        return [not value]
    return [value + 1] if isinstance(value, int) else [*texts, {"another": 1}, [1], 1, True]
