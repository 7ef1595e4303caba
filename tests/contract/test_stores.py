"""The contract of a Store, held by the one on plain values and by PostgreSQL's."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from consumers.delivery import Delivery, Judged
from consumers.errors import StoreUnavailable
from consumers.machines.pauses import Pause
from consumers.runtime.failpoints import Failpoint
from consumers.store.store import PostgresStore
from consumers.worker.memory import MemoryStore
from schemas.message import Message
from schemas.settings import Settings
from schemas.topology import ACTIONS
from schemas.validation.judge import Candidate, Judge
from schemas.verdict import Conflict, Created, Invalid, Pong
from tests import looking

EXAMPLE = json.loads((Path(__file__).parents[1] / "fixtures" / "example_action.json").read_bytes())
JUDGE = Judge.from_settings(Settings())


class OnMemory:
    """A store of plain values."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def actions(self) -> set[str]:
        return {id_ for _, id_ in self.store.rows}

    def letters(self) -> int:
        return len(self.store.letters)

    def reasons(self) -> list[str]:
        return [verdict.reason for _, verdict in self.store.letters]  # type: ignore[union-attr]

    def pause(self, each: Pause) -> None:
        self.store.paused.append(each)

    def read_only(self, *, on: bool) -> None:
        self.store.fault = StoreUnavailable("read-only") if on else None


class OnPostgreSQL:
    """A database of a real server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.store = PostgresStore(Settings(database_url=url), "test", Failpoint())

    def _rows(self, statement: str) -> list[Any]:
        return looking.rows(self._url, statement)

    def actions(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT id::text FROM actions")}

    def letters(self) -> int:
        return int(self._rows("SELECT count(*) FROM dead_letters")[0][0])

    def reasons(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT reason FROM dead_letters")]

    def pause(self, each: Pause) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("INSERT INTO pauses VALUES (%s, %s, %s, %s, %s)", each)

    def read_only(self, *, on: bool) -> None:
        name = self._url.rpartition("/")[2]
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(b"SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {on}".encode())
        # It holds for new connections, as after a failover.
        self.store.close()


@pytest.fixture(params=["memory", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    place = OnMemory() if request.param == "memory" else OnPostgreSQL(request.getfixturevalue("database_url"))
    place.store.connect()
    yield place
    place.store.close()


def item(**changes: Any) -> Judged:
    """A judged action with an id of its own."""
    members = EXAMPLE | {"id": str(uuid.uuid4())} | changes
    message = Message("action", json.dumps(members).encode(), "http")
    return Judged(Delivery(message, 1, 1, ACTIONS, "ingest", "action"), JUDGE(message))


def id_of(judged: Judged) -> str:
    assert isinstance(judged.judgement, Candidate)
    return str(judged.judgement.row[0])


def refused(judged: Judged) -> Judged:
    """A row that no database takes."""
    assert isinstance(judged.judgement, Candidate)
    row = judged.judgement.row._replace(id="no uuid")  # type: ignore[call-arg]
    return msgspec.structs.replace(judged, judgement=Candidate("action", row))


def test_what_has_a_verdict_is_committed(place: Any) -> None:
    """A row each, in order of the items, alone and in a batch."""
    alone, batch = item(), [item() for _ in range(3)]
    assert [type(each) for each in place.store.commit([alone])] == [Created]
    verdicts = place.store.commit(batch)
    assert [verdict.path.rpartition("/")[2] for verdict in verdicts] == [id_of(each) for each in batch]
    assert place.actions() == {id_of(each) for each in [alone, *batch]}


def test_the_same_again_is_the_same_row(place: Any) -> None:
    """In a later batch and in the same one, and the answer is the same."""
    first = item()
    (created,) = place.store.commit([first])
    again = place.store.commit([first])
    assert again == [Created(created.path, duplicate=True)]
    twice = item()
    assert [each.duplicate for each in place.store.commit([twice, msgspec.structs.replace(twice)])] == [False, True]
    assert place.actions() == {id_of(first), id_of(twice)}
    assert place.letters() == 0


def test_the_same_id_with_other_content_is_a_conflict_and_a_letter(place: Any) -> None:
    """The first one stays."""
    first = item()
    other = item(id=id_of(first), entity_name="other")
    place.store.commit([first])
    assert [type(each) for each in place.store.commit([other])] == [Conflict]
    assert place.letters() == 1
    assert [each.duplicate for each in place.store.commit([first])] == [True]


def test_an_invalid_message_is_a_letter_and_spares_its_batch(place: Any) -> None:
    """And is one letter, however often it is committed."""
    bad, good = item(task="fly"), item()
    for _ in range(2):
        verdicts = place.store.commit([bad, good])
        assert [type(each) for each in verdicts] == [Invalid, Created]
    assert place.letters() == 1
    assert place.actions() == {id_of(good)}


def test_a_message_is_one_letter_with_its_latest_reason(place: Any) -> None:
    """In a later batch and in the same one: what is refused for another reason is no other letter."""
    first, second = (Invalid("broker", reason, {"message": "said"}) for reason in ("maxlen", "expired"))
    one, other = item(), item()
    place.store.commit([msgspec.structs.replace(each, judgement=first) for each in (one, other)])
    again = [msgspec.structs.replace(one, judgement=each) for each in (first, second)]
    assert place.store.commit(again) == [first, second]
    assert sorted(place.reasons()) == ["expired", "maxlen"]


def test_a_row_that_is_refused_spares_its_batch(place: Any) -> None:
    """Its own Invalid, of the stage `database`, and a letter."""
    good = [item(), item()]
    verdicts = place.store.commit([good[0], refused(item()), good[1]])
    assert [type(each) for each in verdicts] == [Created, Invalid, Created]
    assert verdicts[1].stage == "database"
    assert place.actions() == {id_of(each) for each in good}
    assert place.letters() == 1


def test_an_outage_commits_nothing_and_the_same_can_be_committed_after_it(place: Any) -> None:
    """A database that only reads is one: `connect` says so, and so does `commit`."""
    batch = [item(), item(task="fly")]
    place.read_only(on=True)
    with pytest.raises(StoreUnavailable):
        place.store.connect()
    with pytest.raises(StoreUnavailable):
        place.store.commit(batch)
    place.read_only(on=False)
    assert place.actions() == set()
    assert place.letters() == 0
    place.store.connect()
    assert [type(each) for each in place.store.commit(batch)] == [Created, Invalid]


def test_a_ping_is_answered_after_a_transaction(place: Any) -> None:
    """It leaves nothing."""
    ping = msgspec.structs.replace(item(), judgement=Pong())
    assert place.store.commit([ping]) == [Pong()]
    assert place.actions() == set()


def test_it_tells_what_operators_pause_while_it_is_there(place: Any) -> None:
    """Each pause as it was written; in an outage that is what is said, and nobody takes it for nothing paused."""
    assert list(place.store.pauses()) == []
    each = Pause(ACTIONS, "", "ann", "a new disk", datetime(2026, 11, 26, 21, 30, tzinfo=UTC))
    place.pause(each)
    assert list(place.store.pauses()) == [each]
