"""Writes a batch's dead letters: new ones, and what became of those that were replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from consumers.delivery import Delivery, Judged
from consumers.store.letter import Reason, letter, message_key
from schemas.verdict import Unstorable, Verdict, becomes_letter, to_wire

Connection = psycopg.Connection[tuple[Any, ...]]

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

    def write(self, connection: Connection, items: Sequence[Judged], verdicts: Sequence[Verdict]) -> None:
        """Inside the batch's transaction, so that a letter is resolved exactly when its row is stored.

        A letter id in a header proves nothing by itself: the message must be the one that the letter sends.
        """
        pairs = list(zip(items, verdicts, strict=True))
        replayed = self._lock(connection, items)
        fresh, failed, resolved = [], [], []
        for item, verdict in pairs:
            known = _named(replayed, item.delivery) if replayed else None
            if becomes_letter(verdict):
                if known is None:
                    fresh.append(self._letter(item.delivery, verdict))
                elif (number := item.delivery.replay or 0) > known.settled:
                    known.settled = number
                    facts = {"id": item.delivery.letter_id, "replay": number, "max_replays": self.max_replays}
                    failed.append(self._letter(item.delivery, verdict) | facts)
            elif known is not None and verdict.fate.resolves:
                resolution = json.dumps(to_wire(verdict) | {"replay": item.delivery.replay})
                resolved.append({"id": item.delivery.letter_id, "resolution": resolution, "who": WHO})
        # One order for everybody, so that two workers with the same letters never deadlock.
        fresh.sort(key=lambda each: each["message_key"])
        for name, parameters in (("insert_letter", fresh), ("fail_replay", failed), ("resolve_letter", resolved)):
            if parameters:
                connection.cursor().executemany(self.sql[name], parameters)

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
