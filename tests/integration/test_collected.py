"""What a data collector is told, in the database: nodes and their latest, runs that the rule sees, resources kept."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from kind_examples import first, with_body, with_key
from operate_support import command, environment

from consumers.delivery import Delivery, Judged
from consumers.runtime.failpoints import Failpoint
from consumers.store.store import PostgresStore
from consumers.supervisor.monitor import look_at_nodes
from schemas.labels import NO_RUN, RUN_STATUSES
from schemas.message import Message
from schemas.settings import Settings
from schemas.topology import QUEUES_BY_KIND, ROUTING_KEYS
from schemas.validation.judge import Judge
from tests import looking
from tests.patience import LONG

NODE = ("run_id::text", "status", "end_time IS NULL", "environment", "pinged_at IS NULL")


class Place:
    """A store, and what it has stored."""

    def __init__(self, database_url: str, **settings: Any) -> None:
        self.settings = Settings(database_url=database_url, **settings)
        self._judge = Judge.from_settings(self.settings)
        self.store = PostgresStore(self.settings, "test", Failpoint())
        self.store.connect()

    def commit(self, *messages: Message) -> list[str]:
        """One batch; the fate of each."""
        items = [
            Judged(
                Delivery(each, 1, 1, QUEUES_BY_KIND[each.kind], "ingest", ROUTING_KEYS[each.kind]), self._judge(each)
            )
            for each in messages
        ]
        return [verdict.fate.outcome for verdict in self.store.commit(items)]

    def rows(self, sql: str) -> list[Any]:
        return looking.rows(self.settings.database_url, sql)

    def nodes(self) -> dict[str, Any]:
        """Node -> what is known of it."""
        return {name: tuple(rest) for name, *rest in self.rows(f"SELECT name, {', '.join(NODE)} FROM nodes")}


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    found = Place(database_url)
    yield found
    found.store.close()


def told(kind: str, run_id: str = "", **changes: Any) -> Message:
    """The kind's example, with other members."""
    message = with_body(first(kind), json.loads(first(kind).payload) | changes)
    return with_key(message, run_id) if run_id else message


def gone(node: str, at: str, **changes: Any) -> Message:
    """The action of somebody who deletes a node."""
    changes |= {"task": "delete", "entity_type": "node", "entity_name": node, "recorded_at": at}
    return told("action", str(uuid.uuid4()), organization_name="ponyville", **changes)


ONE, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
WEB = "web01.ponyville.example"


def test_a_node_has_its_latest_run_and_an_older_one_that_comes_late_changes_nothing(place: Place) -> None:
    """A run that dies before it has a node object leaves the one that is known."""
    late = {"start_time": "2026-11-20T00:00:00Z", "end_time": "2026-11-20T00:01:00Z"}
    assert place.commit(told("collector_start", ONE), told("collector_end", ONE)) == ["stored", "stored"]
    known = place.nodes()
    assert known == {WEB: (ONE, "success", False, "_default", True)}
    assert place.commit(told("collector_end", OTHER, **late)) == ["stored"]
    assert place.nodes() == known
    early = {"node": {}, "status": "failure", "start_time": "2026-11-27T00:00:00Z", "end_time": None}
    place.commit(told("collector_end", str(uuid.uuid4()), **early))
    assert place.nodes()[WEB][1:4] == ("failure", False, "_default")
    place.commit(told("node_ping", **{"@timestamp": "2026-11-27T00:00:00Z"}))
    assert place.nodes()[WEB][-1] is False


def test_a_deleted_node_is_gone_and_one_that_came_back_stays(place: Place) -> None:
    """Also where the action was posted during a run, and is not stored; of another organization's nothing is."""
    place.commit(told("collector_end", ONE))
    place.commit(gone(WEB, "2026-11-25T00:00:00Z"), gone("web02", "2026-11-27T00:00:00Z"))
    assert WEB in place.nodes(), "it has been seen after that"
    assert place.commit(gone(WEB, "2026-11-27T00:00:00Z", remote_request_id=ONE)) == ["during_run"]
    assert place.nodes() == {}
    place.commit(told("collector_end", OTHER))
    place.commit(gone(WEB, "2026-11-27T00:00:00Z"))
    assert place.nodes() == {}


def test_nodes_are_counted_by_how_their_latest_run_stands(place: Place, database_url: str) -> None:
    """A run without an end is aborted after the setting's time, and a node that was not heard of for another is
    missing, whatever its status; one that only pings has none."""
    settings = Settings(run_aborted_seconds=3600, node_missing_seconds=7200)
    assert look_at_nodes(database_url, settings) == {"nodes": dict.fromkeys((*RUN_STATUSES, NO_RUN), 0), "missing": 0}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, status, started, seen in (
            ("well", "success", 9000, 9000), ("red", "failure", 60, 60), ("at it", "started", 3000, 3000),
            ("killed", "started", 4000, 4000), ("away", "started", 8000, 8000), ("pings", None, 0, 10),
        ):  # fmt: skip
            connection.execute(
                "INSERT INTO nodes (organization, name, status, start_time, last_seen) VALUES ('o', %s, %s,"
                " now() - %s * interval '1 second', now() - %s * interval '1 second')",
                [name, status, started, seen],
            )
    found = look_at_nodes(database_url, settings)
    assert found["nodes"] == {"success": 1, "failure": 1, "started": 1, "aborted": 2, "none": 1}
    assert found["missing"] == 2


def odd(door: str = "chef", **changes: Any) -> Message:
    """A new action that is otherwise than documented."""
    return msgspec.structs.replace(told("action", str(uuid.uuid4()), **changes), door=door)


def test_what_is_otherwise_than_documented_is_counted_once_and_listed(place: Place, tmp_path: Path) -> None:
    """In batches of two workers at once, and summed up by both; again is no more; a letter is told by its faults."""
    other = Place(place.settings.database_url)
    changes = ({"entity_type": "policy"}, {"requestor_type": "chef-load"}, {"tenant": 1})

    def twenty(place: Place) -> set[str]:
        fates = {fate for _ in range(20) for fate in place.commit(*(odd(**each) for each in changes))}
        place.store.sum_drift()
        return fates

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(twenty, (place, other))] == [{"stored"}, {"stored"}]
    other.store.close()
    repeated = odd(entity_type="policy")
    assert [place.commit(repeated), place.commit(repeated)] == [["stored"], ["duplicate"]]
    assert place.commit(told("collector_end", ONE), told("collector_start", OTHER, node_name=5)) == ["stored", "dead"]
    expected = {
        ("action", "entity_type", "enum", 41, '"policy"'),
        ("action", "requestor_type", "enum", 40, '"chef-load"'),
        ("action", "unknown member", "unknown", 40, "tenant"),
        ("collector_start", "node_name", "type", 1, "... is not of type 'string'"),
    }
    shown = ("kind", "member", "difference", "count", "example")
    env = environment("amqp://127.0.0.1/", place.settings.database_url, tmp_path)
    listed = command("drift", "--output", "json", env=env)
    assert listed.returncode == 0, listed.stderr
    assert {tuple(row[each] for each in shown) for row in json.loads(listed.stdout)} == expected
    since = place.rows("SELECT kind, member, min(first_seen), max(last_seen) FROM drift GROUP BY 1, 2")
    place.store.sum_drift()
    assert set(place.rows(f"SELECT {', '.join(shown)} FROM drift")) == expected, "a line each is left"
    assert sorted(place.rows("SELECT kind, member, first_seen, last_seen FROM drift")) == sorted(since)


def test_a_lone_action_that_is_otherwise_than_documented_is_one_statement(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the data collector's door, where somebody waits; also one that a rule skips. The other worker's counts of the
    same drift, not committed yet, are not waited for."""
    place.commit(told("collector_start", ONE))
    monkeypatch.setattr(place.store, "_transaction", lambda *_, **__: pytest.fail("it went the way of all batches"))
    with psycopg.connect(place.settings.database_url) as other:
        line = "INSERT INTO drift (kind, door, member, difference, count, example) VALUES (%s, %s, %s, %s, 1, 'x')"
        other.execute(line, ("action", "collector", "entity_type", "enum"))
        assert place.commit(odd("collector", entity_type="policy", tenant=1)) == ["stored"]
        during = odd("collector", entity_type="policy", remote_request_id=ONE, organization_name="ponyville")
        assert place.commit(during) == ["during_run"]
        counted = set(place.rows("SELECT member, door, sum(count) FROM drift GROUP BY 1, 2"))
    assert counted == {("entity_type", "collector", 2), ("unknown member", "collector", 1)}


def overtaken(place: Place, hour: str, seconds: float, **changes: Any) -> None:
    """An action that came so long before its run; ten minutes after the beginning of `hour`."""
    run = str(uuid.uuid4())
    mine = {"organization_name": "ponyville", "remote_request_id": run.upper()} | changes
    assert place.commit(told("action", str(uuid.uuid4()), **mine)) == ["stored"]
    assert place.commit(told("collector_start", run)) == ["stored"]
    with psycopg.connect(place.settings.database_url) as connection:
        at = f"{hour} + interval '10 minutes'"
        connection.execute(f"UPDATE actions SET stored_at = {at} WHERE remote_request_id = %s".encode(), [run.upper()])
        later = f"UPDATE runs SET stored_at = {at} + make_interval(secs => %s) WHERE run_id = %s"
        connection.execute(later.encode(), [seconds, run])


@pytest.fixture
def last_hour() -> str:
    """In SQL; said once, so that it stays the same where an hour ends in the meantime."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    return f"timestamptz '{hour.isoformat()}'"


@pytest.fixture
def counted_so_far(database_url: str, last_hour: str) -> None:
    """The last hour is counted, but for what came after its first minutes."""
    with psycopg.connect(database_url) as connection:
        so_far = f"INSERT INTO late_runs SELECT {last_hour}, {last_hour} + interval '9 minutes', 0, 0"
        connection.execute(so_far.encode())


def test_actions_that_came_before_their_run_are_counted_once_an_hour(
    place: Place, counted_so_far: None, last_hour: str
) -> None:
    """By two workers at once; again, and by one that goes on where another died, it is the same number. A run that
    became known more than a minute later, another organization's, and an action of no run are none of them."""
    registering = {"task": "create", "entity_type": "node"}
    overtaken(place, last_hour, 1, task="update", entity_type="node")
    overtaken(place, last_hour, 59, **registering)
    overtaken(place, last_hour, -2, task="update", entity_type="item")
    overtaken(place, last_hour, 61, **registering)
    overtaken(place, last_hour, 1, organization_name="umbrella")
    place.commit(told("action", str(uuid.uuid4()), remote_request_id="no id"), told("action", str(uuid.uuid4())))

    def a_few_steps(database_url: str) -> None:
        other = Place(database_url)
        for _ in range(12):
            other.store.count_late_runs(15)
        other.store.close()

    def counted() -> list[Any]:
        return place.rows(f"SELECT actions, registering FROM late_runs WHERE hour = {last_hour} AND actions > 0")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(a_few_steps, [place.settings.database_url] * 2))
    # A step does nothing while the other one is at it.
    a_few_steps(place.settings.database_url)
    assert counted() == [(3, 1)]
    a_few_steps(place.settings.database_url)
    assert counted() == [(3, 1)]


def test_a_step_looks_through_one_hour_at_most(place: Place, last_hour: str) -> None:
    """However much it may look through: each hour has a count of its own."""
    before = f"{last_hour} - interval '1 hour'"
    overtaken(place, before, 1)
    overtaken(place, last_hour, 1)
    with psycopg.connect(place.settings.database_url) as connection:
        connection.execute(f"INSERT INTO late_runs SELECT {before}, {before}, 0, 0".encode())
    assert place.store.count_late_runs(36_000)
    assert place.rows(f"SELECT hour = {before}, counted_to = {last_hour}, actions FROM late_runs") == [(True, True, 1)]


def test_where_run_ids_decide_nothing_no_action_comes_too_early(
    database_url: str, counted_so_far: None, last_hour: str
) -> None:
    """The hours are counted all the same, so that a change of the setting counts none of what was before."""
    place = Place(database_url, during_run="off")
    overtaken(place, last_hour, 1)
    for _ in range(12):
        assert place.store.count_late_runs(15)
    place.store.close()
    assert place.rows("SELECT actions FROM late_runs") == [(0,)]


@pytest.mark.parametrize("kind", ["collector_start", "collector_end"])
def test_the_rule_sees_a_run_by_whichever_door_told_of_it_first(place: Place, kind: str) -> None:
    """In the same batch, and alone after it; and a Reporting end finds the run that the collector began."""
    during = told("action", str(uuid.uuid4()), organization_name="ponyville", remote_request_id=ONE)
    assert place.commit(during, told(kind, ONE)) == ["during_run", "stored"]
    during = told("action", str(uuid.uuid4()), organization_name="ponyville", remote_request_id=ONE)
    assert place.commit(during) == ["during_run"]
    times = {"start_time": "2026-11-26 00:46:11 UTC", "end_time": "2026-11-26 00:46:12 UTC"}
    end = msgspec.structs.replace(told("run_end", ONE, status="success", **times), organization="ponyville", node=WEB)
    expected = "stored" if kind == "collector_start" else "merged"
    assert place.commit(end) == [expected]
    assert place.commit(end) == ["duplicate"]


def test_a_run_that_only_its_end_tells_of_is_known(place: Place) -> None:
    """Without a start time, it is guessed by the end's; without either, by the time at which it came."""
    times = {"start_time": None, "status": "failure"}
    place.commit(told("collector_end", ONE, **times), told("collector_end", OTHER, **times, end_time=None))
    found = place.rows(
        "SELECT status, start_guessed, end_guessed, started_by, ended_by, start_time = end_time FROM runs"
        " ORDER BY run_id"
    )
    assert found == [
        ("failure", True, False, None, "collector", True),
        ("failure", True, True, None, "collector", True),
    ]


RESOURCES = [
    {"type": "file", "name": name, "id": name, "duration": "1", "result": "create", "status": status}
    for name, status in (("a", "up-to-date"), ("b", "updated"), ("c", "skipped"), ("d", "failed"), ("e", ""))
]


@pytest.mark.parametrize(("keeps", "kept"), [("changed", ["b", "d"]), ("all", ["a", "b", "c", "d", "e"])])
def test_what_has_not_changed_is_counted_and_by_a_setting_kept(database_url: str, keeps: str, kept: list[str]) -> None:
    """Kept or not, a resource has its place in the report; as many are told as updated as can be read."""
    place = Place(database_url, collector_keep_resources=keeps)
    place.commit(told("collector_end", ONE, resources=RESOURCES))
    assert place.rows("SELECT name, position FROM run_resources ORDER BY position") == [
        (each, "abcde".index(each)) for each in kept
    ]
    [(counts, updated)] = place.rows("SELECT resource_counts, updated_res_count FROM runs")
    assert counts == {"": 1, "failed": 1, "skipped": 1, "up-to-date": 1, "updated": 1}
    assert updated == len(kept)
    place.store.close()


def test_a_secret_deep_in_a_node_object_is_not_stored(place: Place) -> None:
    """Attributes hold secrets at any depth; the members beside them stay."""
    node = {"name": WEB, "normal": {"db": {"password": "hunter2", "port": 5432}, "list": [{"token": "hunter2"}]}}
    place.commit(told("collector_end", ONE, node=node))
    [(stored,)] = place.rows("SELECT node FROM nodes")
    assert stored["normal"] == {"db": {"password": "[redacted]", "port": 5432}, "list": [{"token": "[redacted]"}]}


def test_two_workers_with_the_same_nodes_at_once_never_wait_for_each_other(database_url: str) -> None:
    """Ends, pings and deletions of twenty nodes, in any order in a batch: no batch fails, and each node is as it was
    told last."""
    chance, names = random.Random(3), [f"web{number}" for number in range(20)]
    places, faults = [Place(database_url), Place(database_url)], []
    hands: list[list[Message]] = [[], []]
    for name in names:
        for minute in range(10, 30):
            times = {"start_time": f"2026-11-26T00:{minute}:00Z", "end_time": f"2026-11-26T00:{minute}:30Z"}
            hands[minute % 2].append(told("collector_end", str(uuid.uuid4()), node_name=name, **times))
        hands[0].append(told("node_ping", node_name=name))
        hands[1].append(gone(name, "2026-11-25T00:00:00Z"))
    barrier = threading.Barrier(2)

    def work(place: Place, hand: list[Message]) -> None:
        try:
            chance.shuffle(hand)
            barrier.wait(LONG)
            for at in range(0, len(hand), 70):
                place.commit(*hand[at : at + 70])
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(places, hands, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    found = places[0].rows(
        "SELECT name, start_time::text LIKE '%:29:00+00', pinged_at IS NULL FROM nodes ORDER BY name"
    )
    assert found == [(name, True, False) for name in sorted(names)]
    for place in places:
        place.store.close()
