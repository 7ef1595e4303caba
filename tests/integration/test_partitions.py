"""Retention on a real database: what is dropped, what stays, and who may go on meanwhile."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from operate_support import command, environment

from consumers.database.partitions import DropRefused, Partitions, parse_month
from consumers.errors import StoreUnavailable
from ingest.diagnostics.database import check_database
from schemas.settings import Settings
from tests.patience import LONG

MAY = date(2026, 5, 1)


def insert(connection: psycopg.Connection, recorded_at: str, count: int = 1) -> None:
    """Actions with their ids, of one time."""
    for _ in range(count):
        values = (str(uuid.uuid4()), recorded_at)
        connection.execute("INSERT INTO action_ids VALUES (%s, %s)", values)
        connection.execute(
            "INSERT INTO actions (id, recorded_at, entity_type, entity_name, task, requestor_type, requestor_name,"
            " remote_hostname, request_id, service_hostname, user_agent, message_type, message_version)"
            " VALUES (%s, %s, 'node', 'n', 'update', 'client', 'c', 'h', 'r', 's', 'u', 'action', '0.1.1')",
            values,
        )


@pytest.fixture
def url(database_url: str) -> str:
    """Partitions from March to June 2026, three actions in each of March, April and May, one of 2019 besides."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT ingest_make_partitions('2026-03-01', 4)")
        for month in ("03", "04", "05"):
            insert(connection, f"2026-{month}-31T23:00:00Z" if month != "04" else "2026-04-30T23:59:59Z", 3)
        insert(connection, "2019-01-01T00:00:00Z")
        connection.execute(
            "INSERT INTO runs (run_id, organization, node_name, start_time) VALUES"
            " (gen_random_uuid(), 'o', 'n', '2026-04-01T00:00:00Z'),"
            " (gen_random_uuid(), 'o', 'n', '2026-05-01T00:00:00Z')"
        )
    return database_url


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        tables = ("actions", "action_ids", "runs")
        return {name: connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()[0] for name in tables}  # type: ignore[index]


def test_a_drop_without_yes_changes_nothing(url: str, tmp_path: Path) -> None:
    """Without --yes, and with --dry-run, the command counts what would go, and everything stays."""
    env = environment("amqp://127.0.0.1:1/x", url, tmp_path)
    before = counts(url)
    for dry in ((), ("--dry-run",)):
        shown = command("partitions", "drop", "--before", "2026-05", "--output", "json", *dry, env=env)
        assert shown.returncode == 0
        assert '"table": "actions_2026_03"' in shown.stdout
        assert "nothing was changed" in shown.stderr
        assert counts(url) == before
    both = command("partitions", "drop", "--before", "2026-05", "--yes", "--dry-run", env=env)
    assert both.returncode == 2
    assert counts(url) == before
    done = command("partitions", "drop", "--before", "2026-05", "--yes", env=env)
    assert done.returncode == 0, done.stderr
    assert counts(url) == {"actions": 3, "action_ids": 3, "runs": 1}
    listed = command("partitions", "list", env=env).stdout
    assert "actions_2026_04" not in listed
    assert "actions_2026_05" in listed
    assert "nothing is older" in command("partitions", "drop", "--before", "2026-05", "--yes", env=env).stderr


SLIPS = ("2026-13", "26-05", "2026-5", "2026-05-15", "2062-05", "1026-05", "2026", "", "2026-05\n")


@pytest.mark.parametrize("slip", SLIPS)
def test_a_typing_slip_is_refused(slip: str) -> None:
    """What is no past month since Chef has actions is refused."""
    with pytest.raises(DropRefused, match="--before"):
        parse_month(slip, date(2026, 11, 22))


def test_a_slip_is_wrong_usage(tmp_path: Path) -> None:
    """The command ends with exit 2 before anything is dialled, --yes or not."""
    env = environment("amqp://127.0.0.1:1/x", "postgresql://127.0.0.1:1/none", tmp_path)
    refused = command("partitions", "drop", "--before", "2062-05", "--yes", env=env)
    assert refused.returncode == 2
    assert "current month or a future one" in refused.stderr


def test_this_months_partition_is_never_dropped(url: str) -> None:
    """Next month as a limit would drop this month's partition, and is refused in the library too."""
    now = datetime.now(UTC)
    following = date(now.year + now.month // 12, now.month % 12 + 1, 1)
    with pytest.raises(DropRefused):
        Partitions(url).drop(following, lambda _: None)


def test_an_interrupted_drop_is_finished_by_the_next(url: str) -> None:
    """Ids that an earlier drop left behind are deleted, though their partition has gone."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE actions_2026_03, actions_2026_04")
    Partitions(url).drop(MAY, lambda _: None)
    assert counts(url) == {"actions": 3, "action_ids": 3, "runs": 1}


def test_writers_go_on_while_a_reader_holds_up_a_drop(url: str) -> None:
    """A long query on the partition makes the drop give way again and again, and writers never wait for long."""
    with psycopg.connect(url) as reader, psycopg.connect(url, autocommit=True) as writer:
        reader.execute("SELECT count(*) FROM actions_2026_03")
        writer.execute("SET statement_timeout = '5s'")
        tried = 0

        def pause(_: float) -> None:
            nonlocal tried
            tried += 1
            insert(writer, "2026-05-02T00:00:00Z")
            if tried == 2:
                reader.rollback()

        assert Partitions(url, sleep=pause).drop(MAY, lambda _: None)
        assert tried == 2
    assert counts(url)["actions"] == 5


def test_a_drop_that_never_gets_its_lock_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many tries the drop gives up, names the reason, and has dropped nothing."""
    monkeypatch.setattr("consumers.database.partitions.TRIES", 2)
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM actions_2026_03")
        with pytest.raises(StoreUnavailable, match="long query"):
            Partitions(url, sleep=lambda _: None).drop(MAY, lambda _: None)
    assert counts(url)["actions"] == 10


def test_partitions_are_made_ahead_once(database_url: str) -> None:
    """`create` makes this month's and the next ones; asked again, by many at once, it makes nothing."""
    repository = Partitions(database_url)
    made = repository.create(2)
    assert len(made) == 6
    again: list[str] = []
    threads = [threading.Thread(target=lambda: again.extend(repository.create(2))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert again == []
    assert {row["partition"] for row in repository.listed()} >= set(made)


STEP = "SELECT * FROM ingest_fill_partition('2030-03-01', 1, 4)"


@pytest.fixture
def early(database_url: str) -> str:
    """Twenty actions of March 2030, of a few instants, and two of 2099: all in the default partition."""
    with psycopg.connect(database_url) as connection:
        for day in (1, 9, 20, 31):
            insert(connection, f"2030-03-{day:02}T12:00:00Z", 5)
        insert(connection, "2099-01-01T00:00:00Z", 2)
    return database_url


def step(url: str, *, killed: bool = False) -> tuple[str, int, bool] | None:
    """One step on a connection of its own, which is lost before its end if it is killed."""
    with psycopg.connect(url) as connection:
        found = connection.execute(STEP).fetchone()
        if killed:
            connection.rollback()
        return found


def test_rows_that_came_before_their_month_are_moved_step_by_step_and_never_out_of_sight(early: str) -> None:
    """Killed in every step and begun again: whoever reads meanwhile sees each row once, and in the end it is moved."""
    seen: set[tuple[int, int]] = set()
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(early, autocommit=True) as connection:
            while not done.is_set():
                seen.add(connection.execute("SELECT count(*), count(DISTINCT id) FROM actions").fetchone())  # type: ignore[arg-type]

    reader = threading.Thread(target=read)
    reader.start()
    steps = []
    while step(early, killed=True) and (found := step(early)):
        steps.append(found)
    done.set()
    reader.join(LONG)
    assert steps == [("actions_2030_03", 4, False)] * 5 + [("actions_2030_03", 0, True)]
    assert seen == {(22, 22)}
    with psycopg.connect(early) as connection:
        assert connection.execute("SELECT count(*) FROM ONLY actions_2030_03").fetchone() == (20,)
        assert connection.execute("SELECT count(*) FROM actions_default").fetchone() == (2,)


def test_what_changes_while_a_month_is_filled_is_in_it_once(early: str) -> None:
    """Rows that come between two steps, before and after what is copied already, and one that a person deletes."""
    step(early)
    with psycopg.connect(early) as connection:
        insert(connection, "2030-03-01T00:00:00Z")
        insert(connection, "2030-03-31T23:59:59Z")
        connection.execute(
            "DELETE FROM actions WHERE id = (SELECT id FROM actions_2030_03 ORDER BY recorded_at, id LIMIT 1)"
        )
    while step(early):
        pass
    with psycopg.connect(early) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT id) FROM actions_2030_03").fetchone()
        assert found == (21, 21)
        assert connection.execute("SELECT count(*) FROM actions").fetchone() == (23,)


def test_the_last_step_waits_for_readers_and_can_be_killed_there(early: str) -> None:
    """Whoever reads when it is killed, and after, sees all; the next one ends the work."""
    with psycopg.connect(early) as reader, psycopg.connect(early, autocommit=True) as killer:
        for _ in range(5):
            assert step(early) == ("actions_2030_03", 4, False)
        reader.execute("SELECT count(*) FROM actions")
        errors: list[BaseException] = []

        def work() -> None:
            try:
                step(early)
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%ingest_fill%'"
        while thread.is_alive() and not (pids := killer.execute(waiting).fetchall()):
            pass
        killer.execute("SELECT pg_terminate_backend(%s)", pids[0])
        thread.join(LONG)
        assert errors
        assert reader.execute("SELECT count(*) FROM actions").fetchone() == (22,)
    assert step(early) == ("actions_2030_03", 0, True)
    assert counts(early)["actions"] == 22


def test_strangers_months_make_no_partitions_and_the_doctor_names_them(early: str) -> None:
    """Only this month's and the next ones are ever made, whatever times messages name."""
    Partitions(early).create(2)
    assert len([row for row in Partitions(early).listed() if row["from"]]) == 6
    assert not [row for row in Partitions(early).listed() if row["from"] and row["from"] > "2029"]
    found = [each for each in check_database(Settings(database_url=early)) if each.check == "partitions"]
    assert [(each.level, each.finding) for each in found] == [
        ("note", "22 rows lie in default partitions: 2030-03 (20), 2099-01 (2)")
    ]
    with psycopg.connect(early) as connection:
        name = f"actions_{datetime.now(UTC):%Y_%m}"
        connection.execute(f"ALTER TABLE actions DETACH PARTITION {name}".encode())
        connection.execute(f"DROP TABLE {name}".encode())
        insert(connection, f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z")
    levels = [each.level for each in check_database(Settings(database_url=early)) if each.check == "partitions"]
    assert levels == ["warning", "warning"]
    assert Partitions(early).create(2) == [name]
    assert counts(early)["actions"] == 23
