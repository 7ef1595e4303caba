"""Nodes: by when they were last heard of, and how their newest runs went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ingest.lookup.database import Reader, Row
from ingest.reads.paging import Page, Place

STRIP: Final = 30
"""Runs of a node that are shown side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesWanted:
    """Nodes of this organization, name and status of their latest run; `missing`: not heard of since then."""

    organization: str | None = None
    node: str | None = None
    status: str | None = None
    missing: datetime | None = None
    rows: int = 50
    after: Place | None = None


def listed(reader: Reader, wanted: NodesWanted, aborted: datetime) -> Page:
    """A page of nodes, the one last heard of first."""
    names = ("organization", "node", "status", "missing")
    keys = {name: getattr(wanted, name) for name in names}
    return reader.page("nodes.sql", "listed", wanted.rows, wanted.after, aborted=aborted, **keys)


def strips(reader: Reader, nodes: Sequence[Row], aborted: datetime) -> Mapping[tuple[str, str], Sequence[Row]]:
    """(organization, node) -> its newest runs, the oldest of them first."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    if nodes:
        columns: dict[str, Any] = {
            "organizations": [each["organization"] for each in nodes],
            "names": [each["name"] for each in nodes],
        }
        for row in reader.rows("nodes.sql", "strips", aborted=aborted, rows=STRIP, **columns):
            found[row["organization"], row["name"]].append(row)
    return {name: rows[::-1] for name, rows in found.items()}
