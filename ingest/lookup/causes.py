"""Groups failed runs by what ended them, worded without values: paths, numbers and names in quotes differ, and mean one
cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

_LONGEST: Final = 300
_VALUES: Final = (
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "'…'"),
    (re.compile(r"https?://\S+"), "URL"),
    (re.compile(r"(?<![\w.])/[\w.+@%-]+(?:/[\w.+@%-]*)*"), "PATH"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "ID"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{16,}\b"), "HEX"),
    (re.compile(r"\b[0-9]+(?:\.[0-9]+)*\b"), "N"),
)
UNTOLD: Final = "no exception was told"


@dataclass(slots=True)
class Cause:
    """What several runs failed of: the exception's class, its message without values, and of which runs."""

    exception: str
    text: str
    example: str
    run_id: str
    last: datetime
    first: datetime
    runs: int = 0
    nodes: set[tuple[str, str]] = field(default_factory=set)

    @property
    def organizations(self) -> list[str]:
        return sorted({organization for organization, _ in self.nodes})

    def row(self) -> dict[str, Any]:
        """To print."""
        return {
            "runs": self.runs,
            "nodes": len(self.nodes),
            "organizations": len(self.organizations),
            "exception": self.exception,
            "first": self.first,
            "last": self.last,
            "run_id": self.run_id,
            "text": self.text,
        }


def grouped(failures: Iterable[Mapping[str, Any]]) -> list[Cause]:
    """The causes of failures that come newest first: the most frequent first, its newest run as its example."""
    causes: dict[tuple[str, str], Cause] = {}
    for each in failures:
        exception, message = told(each["data"])
        text = without_values(message)
        start = each["start_time"]
        cause = causes.setdefault((exception, text), Cause(exception, text, message, each["run_id"], start, start))
        cause.runs += 1
        cause.first = min(cause.first, start)
        cause.nodes.add((each["organization"], each["node_name"]))
    return sorted(causes.values(), key=lambda cause: -cause.runs)


def told(data: str | None) -> tuple[str, str]:
    """The class and the message of the exception in a run's data."""
    found = exception(data)
    return _text(found.get("class")), _text(found.get("message")) or _text(found.get("description")) or UNTOLD


def exception(data: str | None) -> Mapping[str, Any]:
    """The exception that a run's data tells of; empty where it tells of none."""
    try:
        read = msgspec.json.decode((data or "null").encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
    found = read.get("exception") if isinstance(read, dict) else None
    return found if isinstance(found, dict) else {}


def without_values(message: str) -> str:
    """The first line of a message, with what differs from run to run replaced by what it is."""
    text = message.strip().partition("\n")[0][:_LONGEST]
    for pattern, word in _VALUES:
        text = pattern.sub(word, text)
    return text


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
