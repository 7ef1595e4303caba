"""A few new actions are stored in one statement, and nothing tells it from the way of all batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from servers import Databases

from consumers.database.connection import Purpose, connect
from consumers.delivery import Delivery, Judged
from consumers.runtime.failpoints import Failpoint
from consumers.store import store as module
from consumers.store.store import PostgresStore
from consumers.store.tables.actions import Actions
from ingest.soak.system import until
from schemas.doors import FOREIGN
from schemas.message import Message
from schemas.settings import Settings
from schemas.topology import ACTIONS
from schemas.validation.judge import Candidate, Judge
from schemas.verdict import Created, DuringRun, Verdict

EXAMPLE = json.loads((Path(__file__).parents[1] / "fixtures" / "example_action.json").read_bytes())
JUDGE = Judge.from_settings(Settings())
RUN = "00000000-0000-4000-8000-00000000000a"
ORGANIZATION = "ponyville"

LEFT = {
    "actions": "SELECT a.* FROM (SELECT to_jsonb(a) - 'stored_at' - 'data', data::text FROM actions a) a",
    "action_ids": "SELECT id, recorded_at FROM action_ids",
    "nodes": "SELECT name FROM nodes",
    "tallies": "SELECT outcome, rule, sum(count) FROM tallies GROUP BY 1, 2",
    "acknowledgements": "SELECT door, outcome, sum(count) FROM acknowledgements GROUP BY 1, 2",
    "drift": "SELECT kind, door, member, difference, sum(count) FROM drift GROUP BY 1, 2, 3, 4",
    "dead_letters": "SELECT reason, attempts FROM dead_letters",
}
"""What a batch leaves in each table."""


class Sent(NamedTuple):
    """One action: which id, whose words, during which run, through which door, how often delivered before."""

    id: int = 0
    name: str = "a"
    run: str | None = None
    door: str = "http"
    deletes: bool = False
    extra: bool = False
    deliveries: int = 0


SENT = st.builds(
    Sent,
    id=st.integers(0, 20),
    name=st.sampled_from("ab\\\"'é"),
    run=st.sampled_from([None, None, RUN, RUN.replace("a", "b")]),
    door=st.sampled_from(["http", "collector", *FOREIGN]),
    deletes=st.integers(0, 15).map(lambda each: not each),
    extra=st.booleans(),
    deliveries=st.integers(0, 15).map(lambda each: int(not each)),
)
NEW = st.lists(SENT, min_size=1, max_size=16, unique_by=lambda each: each.id)
SEEN = st.sampled_from([None, -60, 0, 60])
"""Seconds after the deletion."""
NODES = st.dictionaries(st.sampled_from("ab\\\"'é"), st.tuples(SEEN, SEEN))
"""Name -> when it began a run, and when it pinged."""
KNOWN = {"a": (-60, None), "b": (0, -60), "é": (-60, 60), "'": (None, None)}


def id_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def judged(sent: Sent) -> Judged:
    members = EXAMPLE | {"id": id_of(sent.id), "entity_name": sent.name}
    members["organization_name"], members["remote_request_id"] = ORGANIZATION, sent.run or RUN.replace("a", "c")
    members["task"], members["entity_type"] = ("delete", "node") if sent.deletes else ("create", "role")
    if sent.extra:
        members["more"] = {"b": [None, "\\"]}
    message = Message("action", json.dumps(members).encode(), sent.door)
    headers = {"x-delivery-count": sent.deliveries} if sent.deliveries else {}
    return Judged(Delivery(message, 1, 1, ACTIONS, "ingest", "action", headers=headers), JUDGE(message))


class Place:
    """A database with a run that is known, and a store on it."""

    def __init__(self, url: str, few: int) -> None:
        self.url = url
        self._few = few
        self.connection = psycopg.connect(url, autocommit=True)
        self.store = PostgresStore(Settings(database_url=url), "test", Failpoint())
        self.store.connect()
        self.connection.execute(
            b"INSERT INTO runs (run_id, organization, node_name, start_time) VALUES (%s, %s, 'web01', now())",
            [RUN, ORGANIZATION],
        )

    def commit(self, batch: list[Sent], monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
        monkeypatch.setattr(module, "FEW", self._few)
        return self.store.commit([judged(each) for each in batch])

    def know(self, nodes: Mapping[str, tuple[int | None, int | None]]) -> None:
        """Nodes that are there."""
        at = datetime.fromisoformat(EXAMPLE["recorded_at"])
        for name, seen in nodes.items():
            values = [ORGANIZATION, name, *(None if each is None else at + timedelta(seconds=each) for each in seen)]
            known = "INSERT INTO nodes (organization, name, start_time, pinged_at) VALUES (%s, %s, %s, %s)"
            self.connection.execute(known.encode(), values)

    def left(self) -> dict[str, list[str]]:
        """The rows of each table, which is empty afterwards."""
        found = {}
        for table, rows in LEFT.items():
            found[table] = sorted(map(str, self.connection.execute(rows.encode())))
            self.connection.execute(f"DELETE FROM {table}".encode())
        return found

    def waiting(self) -> int:
        """How many wait for a lock."""
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        [(count,)] = self.connection.execute(waits.encode())
        return int(count)

    def close(self) -> None:
        self.store.close()
        self.connection.close()


@pytest.fixture
def places(databases: Databases) -> Iterator[tuple[Place, Place]]:
    urls = [databases.create(migrated=True) for _ in range(2)]
    both = Place(urls[0], module.FEW), Place(urls[1], 0)
    yield both
    for place in both:
        place.close()
        databases.drop(place.url)


def test_a_few_are_stored_as_the_way_of_all_batches_stores_them(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, repeated, conflicting, posted during a run, from any door; deleting nodes that have been seen since, before,
    or nobody knows when: the same verdicts and tables."""

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @example([[Sent(1, run=RUN), Sent(2), Sent(3, run=RUN, door="chef"), Sent(4, extra=True, door="chef")]], {})
    @example([[Sent(1)], [Sent(2), Sent(1, name="b")], [Sent(1, run=RUN)]], {})
    @example([[Sent(1, deletes=True)], [Sent(2, "b", RUN, deletes=True), Sent(3, "é", deletes=True)]], KNOWN)
    @given(st.lists(NEW | st.lists(SENT, max_size=17), min_size=1, max_size=3), NODES)
    def alike(batches: list[list[Sent]], nodes: Mapping[str, tuple[int | None, int | None]]) -> None:
        few, ordinary = places
        for place in places:
            place.know(nodes)
        for batch in batches:
            assert few.commit(batch, monkeypatch) == ordinary.commit(batch, monkeypatch)
        assert few.left() == ordinary.left()

    alike()


def test_a_few_new_actions_are_one_statement(places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch) -> None:
    """Their transaction is that statement's own, and one that deletes a node is no exception: nothing of the other way
    is called."""

    def other_way(*_: Any, **__: Any) -> Any:
        raise AssertionError("a transaction of several statements")

    monkeypatch.setattr(PostgresStore, "_transaction", other_way)
    batch = [Sent(each, run=RUN if each % 5 == 0 else None, door="chef", deletes=each % 4 == 0) for each in range(16)]
    said = places[0].commit(batch, monkeypatch)
    assert [type(each) for each in said] == [Created if each % 5 else DuringRun for each in range(16)]


def test_an_id_that_somebody_takes_meanwhile_is_a_repetition(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers with the same new message, one of them first by a moment: one row, the others of the batch too."""
    place = places[0]
    taken = judged(Sent(7)).judgement
    assert isinstance(taken, Candidate)
    with ThreadPoolExecutor(1) as threads, connect(place.url, Purpose("another worker")) as other:
        with other.transaction():
            Actions(Settings()).write(other, [taken.row])
            said = threads.submit(place.commit, [Sent(6), Sent(7), Sent(8)], monkeypatch)
            until(lambda: place.waiting() == 1, "it waits for the id")
        assert [getattr(each, "duplicate", None) for each in said.result(60)] == [False, True, False]
    assert len(place.left()["actions"]) == 3


def test_a_node_that_comes_back_while_it_is_deleted_stays(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion waits for who tells of the node, and sees what was told; the other node of the batch is gone.

    It has its ids by then: whoever takes ids first and nodes after them never waits in a circle with it.
    """
    place = places[0]
    place.know({"a": (-60, None), "b": (-60, None)})
    place.connection.execute("SET lock_timeout = '100ms'")
    with ThreadPoolExecutor(1) as threads, connect(place.url, Purpose("another worker")) as other:
        with other.transaction():
            other.execute("UPDATE nodes SET pinged_at = start_time + interval '2 minutes' WHERE name = 'a'")
            deletions = [Sent(1, "a", deletes=True), Sent(2, "b", deletes=True)]
            said = threads.submit(place.commit, deletions, monkeypatch)
            until(lambda: place.waiting() == 1, "it waits for the node")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                place.connection.execute(f"INSERT INTO action_ids VALUES ('{id_of(1)}', now())".encode())
        assert [type(each) for each in said.result(60)] == [Created, Created]
    left = place.left()
    assert (left["nodes"], len(left["actions"])) == (["('a',)"], 2)
