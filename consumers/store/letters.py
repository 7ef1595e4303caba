"""Writes a batch's dead letters: new ones, and what became of those that were replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumers.database.connection import Connection
from consumers.delivery import Delivery, Judged
from consumers.store.bound import Bound
from consumers.store.letter import Reason, letter, message_key
from schemas.doors import NUMBERED
from schemas.verdict import Unstorable, Verdict, becomes_letter, to_wire, with_letter, without_letter

WHO = "worker"


@dataclass(slots=True)
class _Replayed:
    """A letter that a replay names, locked: what was sent of it last, and how far its replays are settled."""

    key: bytes
    replays: int
    settled: int


@dataclass(frozen=True, slots=True)
class LetterWriter:
    """Writes with the statements of letters.sql. A letter whose replays failed `max_replays` times is parked."""

    sql: Mapping[str, str]
    version: str
    max_replays: int
    bound: Bound

    def write(self, connection: Connection, items: Sequence[Judged], verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Inside the batch's transaction, so that a letter is resolved exactly when its row is stored.

        A letter id in a header proves nothing by itself: the message must be the one that the letter sends.
        The verdicts as they are told: some are without a letter.
        """
        said = list(verdicts)
        replayed = self._lock(connection, items)
        new: list[tuple[int, dict[str, Any]]] = []
        failed, resolved = [], []
        for at, (item, verdict) in enumerate(zip(items, verdicts, strict=True)):
            known = _named(replayed, item.delivery) if replayed else None
            if becomes_letter(verdict):
                if known is None:
                    new.append((at, self._letter(item.delivery, verdict)))
                elif (number := item.delivery.replay or 0) > known.settled:
                    known.settled = number
                    facts = {"id": item.delivery.letter_id, "replay": number, "max_replays": self.max_replays}
                    failed.append(self._letter(item.delivery, verdict) | facts)
            elif known is not None and verdict.fate.resolves:
                resolution = json.dumps(to_wire(verdict) | {"attempt": item.delivery.replay})
                resolved.append({"id": item.delivery.letter_id, "resolution": resolution, "who": WHO})
        if new:
            self._insert(connection, items, said, self._kept(connection, items, said, new))
        for name, parameters in (("fail_replay", failed), ("resolve_letter", resolved)):
            if parameters:
                connection.cursor().executemany(self.sql[name], parameters)
        return said

    def _insert(
        self,
        connection: Connection,
        items: Sequence[Judged],
        said: list[Verdict],
        fresh: Sequence[tuple[int, dict[str, Any]]],
    ) -> None:
        """Their numbers are said to those who wait at a door that tells them."""
        # One order for everybody, so that two workers with the same letters never deadlock.
        fresh = sorted(fresh, key=lambda each: each[1]["message_key"])
        cursor = connection.cursor()
        cursor.executemany(self.sql["insert_letter"], [letter for _, letter in fresh], returning=bool(fresh))
        for at, _ in fresh:
            number = cursor.fetchone()
            cursor.nextset()
            delivery, verdict = items[at].delivery, said[at]
            if number and becomes_letter(verdict) and delivery.reply_to and delivery.message.door in NUMBERED:
                said[at] = with_letter(verdict, number[0])

    def _kept(
        self,
        connection: Connection,
        items: Sequence[Judged],
        said: list[Verdict],
        new: Sequence[tuple[int, dict[str, Any]]],
    ) -> list[tuple[int, dict[str, Any]]]:
        """Of new letters those that are kept; what is said of the others tells that they are not."""
        beyond = self.bound.beyond(connection, [(items[at].delivery, letter) for at, letter in new])
        for place, why in beyond.items():
            at = new[place][0]
            verdict = said[at]
            assert becomes_letter(verdict)
            said[at] = without_letter(verdict, why)
        return [each for place, each in enumerate(new) if place not in beyond]

    def prune(self, connection: Connection, keep_days: int, at_once: int) -> dict[str, int]:
        """Delete settled letters, `at_once` at most: those older than `keep_days` (0: none), then the oldest beyond the
        bound; how many by state. None that nobody has settled."""
        [(self.bound.kept,)] = connection.execute(self.sql["how_many"]).fetchall()
        excess = self.bound.kept - self.bound.most if self.bound.most else 0
        for days, most, why in (
            (keep_days, at_once if keep_days else 0, "INGEST_LETTERS_KEEP_DAYS"),
            (0, min(at_once, excess), "INGEST_LETTERS_MAX"),
        ):
            if most > 0:
                picked = connection.execute(self.sql["settled_letters"], {"keep_days": days, "most": most}).fetchall()
                values = {"ids": [row[0] for row in picked], "who": WHO, "why": why}
                if told := connection.execute(self.sql["prune"], values).fetchone() if picked else None:
                    self.bound.kept -= sum(told[0].values())
                    return dict(told[0])
        return {}

    def _letter(self, delivery: Delivery, verdict: Unstorable) -> dict[str, Any]:
        return letter(delivery, Reason.of(verdict), self.version) | {"who": WHO}

    def _lock(self, connection: Connection, items: Sequence[Judged]) -> dict[int, _Replayed]:
        ids = {number for item in items if item.delivery.headers and (number := item.delivery.letter_id) is not None}
        if not ids:
            return {}
        rows = connection.execute(self.sql["lock_replayed"], {"ids": sorted(ids)})
        return {row[0]: _Replayed(*row[1:]) for row in rows}


def _named(replayed: Mapping[int, _Replayed], delivery: Delivery) -> _Replayed | None:
    """The letter that a delivery is a replay of, if it really is."""
    known = replayed.get(delivery.letter_id or 0)
    if known is None or not 0 < (delivery.replay or 0) <= known.replays:
        return None
    return known if known.key == message_key(delivery) else None
