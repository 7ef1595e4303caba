"""What one transaction writes: the rows of a batch, kind by kind in the order of their ranks; a verdict each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consumers.database.connection import Connection
from consumers.delivery import Judged
from consumers.store.tables import Write, WriteFew, writers
from schemas.kinds import KINDS
from schemas.settings import Settings
from schemas.validation.judge import Candidate
from schemas.verdict import Verdict


class Writer:
    """Hands the candidates of a batch to the tables that write their kinds."""

    def __init__(self, settings: Settings) -> None:
        tables = writers(settings)
        self._prepares = [table.prepare for table in tables if table.prepare is not None]
        self._finishes = [table.finish for table in tables if table.finish is not None]
        writes = {kind: write for table in tables for kind, write in table.writes.items()}
        self._writes: dict[str, Write] = {kind: write for kind in KINDS if (write := writes.get(kind)) is not None}
        self._few: dict[str, WriteFew] = {kind: write for table in tables for kind, write in table.writes_few.items()}

    def write(self, connection: Connection, items: Sequence[Judged]) -> list[Verdict]:
        """One verdict for each item, in order. Items that are no candidates must not be given."""
        candidates = [item.judgement for item in items]
        places: dict[str, list[int]] = {}
        for at, candidate in enumerate(candidates):
            places.setdefault(candidate.kind, []).append(at)  # type: ignore[union-attr]
        rows = {kind: [candidates[at].row for at in where] for kind, where in places.items()}  # type: ignore[union-attr]
        for prepare in self._prepares:
            prepare(connection, rows)
        said: dict[str, Sequence[Verdict]] = {}
        for kind, write in self._writes.items():
            if kind in rows:
                said[kind] = write(connection, rows[kind])
        for finish in self._finishes:
            said |= finish(connection, rows, said)
        verdicts: dict[int, Verdict] = {}
        for kind, where in places.items():
            verdicts.update(zip(where, said[kind], strict=True))
        return [verdicts[at] for at in range(len(items))]

    def write_few(
        self, connection: Connection, candidates: Sequence[Candidate], counted: Mapping[str, Any]
    ) -> list[Verdict] | None:
        """The verdicts on a few candidates, written in a transaction of its own; None: nothing was done."""
        [kind, *others] = {candidate.kind for candidate in candidates}
        write = None if others else self._few.get(kind)
        return None if write is None else write(connection, [candidate.row for candidate in candidates], counted)


def in_order(items: Iterable[Judged]) -> list[Judged]:
    """Candidates in the order in which they are written, so that halving never parts one from what it needs."""
    return sorted(items, key=lambda item: _rank(item.judgement.kind))  # type: ignore[union-attr]


def _rank(kind: str) -> int:
    return KINDS[kind].rank
