"""Reads tables, columns and indexes out of `schema.sql`, which is written to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TABLE = re.compile(
    r"(?P<comment>(?:^-- [^\n]*\n)*)^CREATE TABLE (?P<name>\w+) \(\n(?P<body>.*?)\n\)(?P<partition>[^;]*);", re.M | re.S
)
_INDEX = re.compile(r"^CREATE (?P<unique>UNIQUE )?INDEX \w+ ON (?P<table>\w+) (?P<rest>[^;]*);", re.M)
_PART = re.compile(r"(?P<comment>(?:^ {4}-- [^\n]*\n)*)^ {4}(?P<code>[^\s-][^\n]*(?:\n {5,}[^\n]*)*)", re.M)
_COLUMN = re.compile(r"(?P<name>[a-z_]+) +(?P<type>[a-z]+)(?P<rest>.*)", re.S)


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """`rest` is what follows the type: constraints and default, as written; `comment` what stands above it."""

    name: str
    type: str
    rest: str
    comment: str

    @property
    def required(self) -> bool:
        """Whether it is never null."""
        return "NOT NULL" in self.rest or "PRIMARY KEY" in self.rest


@dataclass(frozen=True, slots=True)
class TableEntry:
    """`partition` is the partition key or empty; `checks` and `indexes` are as written."""

    name: str
    comment: str
    columns: tuple[ColumnEntry, ...]
    checks: tuple[str, ...]
    partition: str
    indexes: tuple[str, ...]


def tables(sql: str) -> list[TableEntry]:
    """Every table of the schema, in its order, partitions left out."""
    return [
        TableEntry(
            found["name"],
            _comment(found["comment"]),
            tuple(each for each in _columns(found["body"]) if isinstance(each, ColumnEntry)),
            tuple(each for each in _columns(found["body"]) if isinstance(each, str)),
            found["partition"].replace("PARTITION BY", "").strip(),
            tuple(_indexes(sql, found["name"])),
        )
        for found in _TABLE.finditer(sql)
    ]


def _columns(body: str) -> Iterator[ColumnEntry | str]:
    # A column or a check starts four spaces in, or its comment does; what goes on, goes on further in.
    for part in _PART.finditer(body):
        text = re.sub(r"\s+", " ", part["code"]).strip().removesuffix(",")
        found = _COLUMN.fullmatch(text)
        yield (
            ColumnEntry(found["name"], found["type"], found["rest"].strip(), _comment(part["comment"]))
            if found
            else text
        )


def _comment(lines: str) -> str:
    return " ".join(line.strip().removeprefix("-- ") for line in lines.splitlines())


def _indexes(sql: str, table: str) -> Iterator[str]:
    for found in _INDEX.finditer(sql):
        if found["table"] == table:
            yield (found["unique"] or "").lower() + re.sub(r"\s+", " ", found["rest"])
