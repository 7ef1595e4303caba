"""The repository's connection to the database, and the letter as it comes from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import class_row, dict_row

from consumers.broker.properties import restored
from consumers.database import statements
from consumers.database.connection import Connection, Purpose, session
from consumers.database.migrations import require_current
from consumers.dead_letters.errors import TookTooLong
from consumers.store.letter import key_of
from schemas.doors import FOREIGN
from schemas.message import Message

NAME: Final = "chef-ingest dead"
"""What the server lists such connections under."""
_PURPOSE: Final = Purpose(NAME, statement=300, silence=310, idle=0)
"""Without end in a transaction: an export waits for whoever reads it."""

LARGEST_BYTES: Final = 16 * 1024 * 1024
"""Of an inflated payload that is edited: as large as one that is stored, unless settings say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A row of `dead_letters`, without what only replays need."""

    id: int
    state: str
    stage: str
    reason: str
    details: dict[str, str]
    sqlstate: str | None
    fingerprint: str
    kind: str
    door: str
    organization: str | None
    node: str | None
    run_id: str | None
    exchange: str
    routing_key: str
    content_encoding: str | None
    properties: dict[str, Any]
    payload: bytes
    edited_payload: bytes | None
    edited_encoding: str | None
    attempts: int
    replays: int
    failed_replays: int
    first_seen: datetime
    last_seen: datetime
    worker_version: str
    resolution: dict[str, Any] | None
    edited_envelope: dict[str, str] | None = None
    sender: dict[str, str] | None = None
    entity: str | None = None
    requestor: str | None = None

    @property
    def edited(self) -> bool:
        return self.edited_payload is not None or self.edited_envelope is not None

    def message(self) -> Message:
        """What a replay sends, as a worker will judge it."""
        payload, encoding = self.payload, self.content_encoding
        if self.edited_payload is not None:
            payload, encoding = self.edited_payload, self.edited_encoding
        # A message that comes by an inlet has no headers that are believed.
        headers = restored(self.properties.get("headers") or {}) if self.door not in FOREIGN else {}
        received = Message.from_headers(
            payload, kind=self.kind, door=self.door, content_encoding=encoding, headers=headers
        )
        if self.edited_envelope is None:
            return received
        edited = msgspec.structs.replace(received, **self.edited_envelope)
        if edited.door not in FOREIGN:
            return edited
        return msgspec.structs.replace(edited, organization=None, node=None, run_id=None)

    def replay_key(self) -> bytes:
        """The message_key of what a replay sends."""
        return key_of(self.message(), self.exchange, self.routing_key)


class Repository:
    """One operator at the letters: `who` and `why` go into every event. Methods are in the modules beside this.

    Made by `repository_at`, which also translates what the database raises.
    """

    def __init__(self, connection: Connection, who: str, why: str | None) -> None:
        self.connection = connection
        self.who = who
        self.why = why
        self.sql = {
            **statements.load("consumers.dead_letters", "dead_letters.sql"),
            **statements.load("consumers.dead_letters", "replays.sql"),
            "prune": statements.load("consumers.store", "letters.sql")["prune"],
        }

    def rows(self, name: str, where: str = "true", order: str = "id", /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a named statement, `{where}` and `{order}` in it filled in."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(self._statement(name, where, order), self._values(parameters)).fetchall()

    def letters(self, name: str, where: str = "true", /, **parameters: Any) -> Iterator[Letter]:
        """The letters of a named statement, a few at a time: payloads can be large."""
        with self.connection.transaction(), self.connection.cursor("letters", row_factory=class_row(Letter)) as cursor:
            cursor.itersize = 200
            yield from cursor.execute(self._statement(name, where), self._values(parameters))

    def count(self, name: str, where: str = "true", /, **parameters: Any) -> int:
        """How many rows a named query has, without fetching them."""
        counting = self.sql["count_of"].replace("{query}", self._statement(name, where).decode())
        row = self.connection.execute(counting.encode(), self._values(parameters)).fetchone()
        return row[0] if row else 0

    def execute(self, name: str, where: str = "true", /, **parameters: Any) -> int:
        """How many rows a named statement changed."""
        return self.connection.execute(self._statement(name, where), self._values(parameters)).rowcount

    def _statement(self, name: str, where: str, order: str = "id") -> bytes:
        return self.sql[name].replace("{where}", where).replace("{order}", order).encode()

    def _values(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"who": self.who, "why": self.why, **parameters}


@contextmanager
def repository_at(
    database_url: str, *, who: str, why: str | None = None, purpose: Purpose = _PURPOSE
) -> Iterator[Repository]:
    """A repository on the database. Raises StoreUnavailable, or Misconfigured when waiting would not help; TookTooLong
    where a statement was given up after the seconds of `purpose`."""
    with session(database_url, purpose) as connection:
        require_current(connection)
        try:
            yield Repository(connection, who, why)
        except psycopg.errors.QueryCanceled:
            fewer = "ask for fewer letters: --since, --kind, --organization, --state"
            raise TookTooLong(f"this takes PostgreSQL more than {purpose.statement:g} s: {fewer}") from None
