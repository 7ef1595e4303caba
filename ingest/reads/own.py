"""Our own form of what is stored: an action as it was sent, a run as its row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from schemas.kinds.action import ActionRow, document
from schemas.kinds.extra import is_flagged
from schemas.kinds.stray import restore

MEDIA: Final = b"application/vnd.chef-ingest+json"

_RUN: Final = (
    "run_id", "organization", "node_name", "status", "start_time", "end_time", "run_list", "total_res_count",
    "updated_res_count", "data",
)  # fmt: skip
_RESOURCE: Final = (
    "type", "name", "id", "cookbook_name", "cookbook_version", "duration", "before", "after", "delta", "result",
)  # fmt: skip


def action(row: ActionRow) -> bytes:
    """The action as it was sent."""
    return given_back(document(row), strays=is_flagged(row.extra))


def run(row: Mapping[str, Any], resources: Sequence[Mapping[str, Any]]) -> bytes:
    """A run with its resources as they are stored; `null` where the end is not in."""
    shown = embedded({name: row[name] for name in _RUN}, "data")
    shown["resources"] = [embedded({name: each[name] for name in _RESOURCE}, "before", "after") for each in resources]
    return given_back(msgspec.json.encode(shown).decode(), strays=row["strays"])


def given_back(text: str, *, strays: bool) -> bytes:
    """What is answered; bytes that were no UTF-8 when they came are none when they go."""
    return restore(text) if strays else text.encode()


def embedded(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The row with its JSON columns put in as the sender wrote them, not parsed again."""
    return {**row} | {name: msgspec.Raw(row[name].encode()) for name in names if row[name] is not None}
