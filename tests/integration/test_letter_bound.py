"""How many letters are kept: what is beyond a bound, what is kept in any case, and what goes by itself."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pika
import psycopg
import pytest
from stack_support import ACTION, running
from worker_support import Place, action

from consumers.delivery import Delivery, Judged
from consumers.ledger.balance import Books, balance, window
from consumers.runtime.failpoints import Failpoint
from consumers.store.store import PostgresStore
from ingest.soak.system import until
from schemas.message import HEADER_ANSWER_BY, Message
from schemas.settings import Settings
from schemas.topology import ACTIONS
from schemas.validation.judge import Judge
from schemas.verdict import Verdict
from tests.patience import LONG

JUDGE = Judge.from_settings(Settings())


def rows(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresStore]:
    """Three letters an hour for each organization."""
    made = store_at(database_url, letters_per_hour=3)
    yield made
    made.close()


def store_at(url: str, **settings: Any) -> PostgresStore:
    store = PostgresStore(Settings(database_url=url, **settings), "test", Failpoint())
    store.connect()
    return store


def bad(organization: str | None = "acme", *, waits: bool = True, age: float = 0, **changes: Any) -> Judged:
    """A refused action, from a sender who waits (for ten minutes, or if it is `age` seconds old, two), or does not."""
    message = Message("action", action(task="fly", organization_name=organization, **changes), "http")
    properties = pika.BasicProperties(timestamp=int(time.time() - age))
    headers = {} if age else {HEADER_ANSWER_BY: int(time.time()) + 600}
    delivery = Delivery(
        message, 1, 1, ACTIONS, "ingest", "action", "amq.x" if waits else None, "c", headers, properties, ACTIONS
    )
    return Judged(delivery, JUDGE(message))


def within_an_hour() -> None:
    """Away from its end: letters are counted by the hour."""
    while time.time() % 3600 > 3570:
        time.sleep(1)


def whys(verdicts: list[Verdict]) -> list[str]:
    return [each.told for each in verdicts]  # type: ignore[union-attr]


def test_a_sender_is_told_that_no_letter_is_kept_beyond_the_bound(amqp_url: str, database_url: str) -> None:
    """The refusal is the same, and says why there is no letter; 202, the exchange and other organizations keep theirs;
    the ledger closes."""
    within_an_hour()
    with running(amqp_url, database_url, letters_per_hour=2) as system:
        # How long its client waits travels with a run's end: on a busy machine too it is sure to be told.
        node = "/organizations/acme/reports/nodes/web01/runs"

        def told(**headers: str) -> httpx.Response:
            return system.http.post(f"{node}/{uuid.uuid4()}", json={"action": "fly"}, headers=headers)

        for at in range(4):
            answer = told()
            assert answer.status_code == 400
            assert set(answer.json()) == ({"error", "details"} if at < 2 else {"error", "details", "letter"})
        assert answer.json()["letter"] == ("no letter kept: 2 letters of acme in this hour, INGEST_LETTERS_PER_HOUR")
        assert told(accept="application/problem+json").json()["letter"].startswith("no letter kept")
        refused = ACTION | {"task": "fly", "organization_name": "acme"}
        assert system.http.post("/messages", json=refused, headers={"prefer": "respond-async"}).status_code == 202
        system.publish("actions", "erchef.node.create", json.dumps(refused | {"id": str(uuid.uuid4())}).encode())
        other = refused | {"organization_name": "other"}
        assert "letter" not in system.http.post("/messages", json=other).json()
        until(lambda: system.rows("SELECT count(*) FROM dead_letters") == [(5,)], "those of whom nobody is told")
    since = window(2, datetime.now(UTC))
    books = Books(database_url)
    ledger = balance(books.acknowledged(since), books.accounted(since), 0)
    assert sum(hour.told for hour in ledger.hours) == 3
    assert (ledger.gap, sum(hour.letters for hour in ledger.hours)) == (0, 5)


def test_only_what_is_sure_to_be_told_is_not_kept(store: PostgresStore, database_url: str) -> None:
    """Nobody waits, waits no more, or is told at a second try: kept, however many there are."""
    within_an_hour()
    assert whys(store.commit([bad() for _ in range(4)])) == [""] * 3 + [
        "no letter kept: 3 letters of acme in this hour, INGEST_LETTERS_PER_HOUR"
    ]
    again, delayed = (
        msgspec.structs.replace(each, delivery=msgspec.structs.replace(each.delivery, headers=headers))
        for each, headers in ((bad(), {"x-delivery-count": 1}), (bad(), {"x-retries": 1}))
    )
    ahead = bad(age=-5)
    kept = [bad(waits=False), bad(age=3), again, delayed, ahead]
    assert whys(store.commit(kept)) == [""] * 5
    assert rows(database_url, "SELECT count(*) FROM dead_letters") == [(8,)]


def test_a_letter_that_comes_again_is_no_new_one(store: PostgresStore, database_url: str) -> None:
    """It is counted at the letter that there is, and takes nobody's place."""
    within_an_hour()
    once = bad()
    for _ in range(5):
        assert whys(store.commit([once, once])) == ["", ""]
    assert rows(database_url, "SELECT attempts FROM dead_letters") == [(10,)]
    assert whys(store.commit([bad(), bad(), bad()])) == ["", "", whys(store.commit([bad()]))[0]]


def test_new_names_make_no_new_room_without_end(store: PostgresStore, database_url: str) -> None:
    """A sender who calls himself differently each time is bounded by ten times the bound of one; long names are one."""
    within_an_hour()
    said = whys(store.commit([bad(f"org{number}") for number in range(31)]))
    assert said[:30] == [""] * 30
    assert said[30] == "no letter kept: 30 letters in this hour, 10 times INGEST_LETTERS_PER_HOUR"
    assert rows(database_url, "SELECT count(*) FROM letter_counts") == [(30,)]
    store.commit([bad("x" * 300, waits=False), bad(None, waits=False)])
    assert rows(database_url, "SELECT count(*) FROM letter_counts") == [(30,)]


def test_workers_that_count_the_same_organizations_do_not_wait_for_each_other(database_url: str) -> None:
    """In any order, at the same moment: no deadlock, and no commit that waits for another's end."""
    stores = [store_at(database_url, letters_per_hour=100) for _ in range(2)]
    with psycopg.connect(database_url) as other:
        other.execute("INSERT INTO letter_counts (organization, letters) VALUES ('a', 1), ('b', 1)")
        done: list[int] = []

        def work(store: PostgresStore, names: str) -> None:
            for _ in range(20):
                store.commit([bad(name) for name in names])
            done.append(1)

        threads = [threading.Thread(target=work, args=pair) for pair in zip(stores, ("ab", "ba"), strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
        assert done == [1, 1]
    assert rows(database_url, "SELECT sum(letters) FROM letter_counts") == [(82,)]
    for store in stores:
        store.close()


def test_settled_letters_go_by_themselves_and_the_ledger_keeps_their_number(database_url: str) -> None:
    """Old ones, then the oldest beyond the cap, in small steps; what nobody has settled stays, and beyond the cap no
    more is kept of what its sender is told."""
    store = store_at(database_url, letters_keep_days=7, letters_max=3)
    store.commit([bad(waits=False) for _ in range(8)])
    since = window(24 * 10, datetime.now(UTC))
    before = balance({}, Books(database_url).accounted(since), 0).gap
    rows(database_url, "UPDATE dead_letters SET state = 'discarded' WHERE id <= 3")
    rows(database_url, "UPDATE dead_letters SET last_seen = now() - interval '8 days' WHERE id IN (1, 4)")
    taken = []
    while pruned := store.prune_letters():
        taken.append(pruned)
    assert taken == [{"discarded": 1}, {"discarded": 2}]
    assert rows(database_url, "SELECT id, state FROM dead_letters ORDER BY id") == [(n, "open") for n in range(4, 9)]
    told = "SELECT who, why, details FROM dead_letter_events WHERE what = 'pruned' ORDER BY id"
    assert rows(database_url, told) == [
        ("worker", "INGEST_LETTERS_KEEP_DAYS", {"discarded": 1}), ("worker", "INGEST_LETTERS_MAX", {"discarded": 2}),
    ]  # fmt: skip
    assert balance({}, Books(database_url).accounted(since), 0).gap == before == -8
    within_an_hour()
    assert whys(store.commit([bad(), bad(waits=False)])) == ["no letter kept: 5 letters, INGEST_LETTERS_MAX", ""]
    store.close()


def test_the_doctor_warns_before_a_bound_is_reached(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    """At four fifths, with the organization and what to do."""
    place = Place(amqp_url, database_url, tmp_path)
    store = store_at(database_url)
    store.commit([bad(waits=False) for _ in range(9)])
    store.close()

    def warned(**settings: Any) -> list[str]:
        out = place.repository("doctor", "--output", "json", check=False, **settings).stdout
        found = [each for each in json.loads(out) if each["check"] == "letters" and each["level"] == "warning"]
        assert all(each["remedy"] for each in found)
        return [each["finding"].partition(":")[0] for each in found]

    assert warned() == warned(letters_per_hour=0, letters_max=0) == []
    assert warned(letters_per_hour=10, letters_max=10) == [
        "9 dead letters, INGEST_LETTERS_MAX=10",
        "9 dead letters of acme in this hour, INGEST_LETTERS_PER_HOUR=10",
    ]
