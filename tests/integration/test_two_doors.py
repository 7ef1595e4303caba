"""One run told of by two doors: the same row whatever the order, by two workers at once, and no deadlock."""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pytest

from consumers.store.tables import runs
from consumers.store.tables.runs import Runs, Telling
from schemas.kinds.collector_end import CollectedRow
from schemas.kinds.run_end import ResourceRow, RunEndRow
from schemas.kinds.run_start import RunStartRow
from schemas.run_merge import COLLECTOR, End, Run, Start
from schemas.settings import Settings
from schemas.verdict import Conflict, Created, UnknownRun
from tests.patience import LONG

AT, ENDED, CAME = "2026-11-26T00:54:52Z", "2026-11-26T00:54:53Z", "2026-11-26T01:00:00Z"
REBOOT = json.dumps({"exception": {"class": "#<Chef::Exceptions::Reboot: new kernel>", "message": "new kernel"}})
FILE = ResourceRow(0, "file", "/a", "/a", "app", "1.4.2", 12, "{}", '{"mode":"0644"}', "", "create", None)
COLLECTED = CollectedRow(*FILE, "updated", "default", None, None, "quiet")
ROW = """
SELECT organization, node_name, status, start_time, end_time, run_list, total_res_count, updated_res_count, data::text,
       start_extra::text, end_extra::text, end_start_time, reboot::text, started_by, ended_by, start_guessed,
       end_guessed, door_mismatch, entity_uuid, policy_name, resource_counts::text, collector_start_extra::text,
       (SELECT array_agg((r.name, r.status, r.ignore_failure)::text ORDER BY position) FROM run_resources r
        WHERE r.run_id = runs.run_id AND r.start_time = runs.start_time)
FROM runs WHERE run_id = %s
"""


@pytest.fixture(autouse=True)
def collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of the collector, whose rows are what they tell."""
    tellings = {
        "run_start": runs.TELLINGS["run_start"],
        "begun": Telling(COLLECTOR, True, lambda run: run),
        "run_end": runs.TELLINGS["run_end"],
        "converged": Telling(COLLECTOR, True, lambda run: run),
    }
    monkeypatch.setattr(runs, "TELLINGS", tellings)


@pytest.fixture
def workers(database_url: str) -> Iterator[list[tuple[psycopg.Connection[Any], Runs]]]:
    """Two workers' connections and tables."""
    connections = [psycopg.connect(database_url, autocommit=True) for _ in range(2)]
    yield [(connection, Runs(Settings())) for connection in connections]
    for connection in connections:
        connection.close()


def messages(run_id: str, *, reboot: bool = False) -> dict[str, list[Any]]:
    """Kind -> rows of one run: two starts and two ends, or four where it reboots."""
    whose = (run_id, "ponyville", "web01")
    end = RunEndRow(*whose, "success", AT, ENDED, "[]", 2, "{}", None, '{"odd":1}', (FILE, FILE._replace(position=1)))
    converged = Run(
        Start(*whose, AT, entity_uuid="1f2e"),
        End("success", ENDED, "{}", COLLECTOR, run_list='["x"]', total_res_count=40, updated_res_count=1,
            policy_name="app", resource_counts='{"updated":1}'),
        None, (COLLECTED,),
    )  # fmt: skip
    told: dict[str, list[Any]] = {
        "run_start": [RunStartRow(*whose, AT, '{"start_time":"x"}')],
        "begun": [Run(Start(*whose, AT, started_by=COLLECTOR, entity_uuid="1f2e", collector_start_extra="{}"))],
        "run_end": [end],
        "converged": [converged],
    }
    if reboot:
        assert converged.end is not None
        failed = converged.end._replace(status="failure", data=REBOOT)
        told["run_end"].append(end._replace(status="failure", data=REBOOT))
        told["converged"].append(converged._replace(end=failed))
    return told


def commit(worker: tuple[psycopg.Connection[Any], Runs], batch: Sequence[tuple[str, Any]]) -> list[Any]:
    """One batch, as the store writes it; a verdict each."""
    connection, table = worker
    rows: dict[str, list[Any]] = {}
    for kind, row in batch:
        rows.setdefault(kind, []).append(row)
    with connection.transaction():
        table.prepare(connection, rows)
        return [
            verdict for kind in runs.TELLINGS if kind in rows for verdict in table.writes[kind](connection, rows[kind])
        ]


def row_of(worker: tuple[psycopg.Connection[Any], Runs], run_id: str) -> Any:
    return worker[0].execute(ROW.encode(), [run_id]).fetchone()


def in_order(told: Mapping[str, Sequence[Any]]) -> list[tuple[str, Any]]:
    return [(kind, row) for kind, rows in told.items() for row in rows]


@pytest.mark.parametrize("reboot", [False, True])
def test_every_order_leaves_the_same_row_and_counts_each_message_once(workers: Any, reboot: bool) -> None:
    """One message a batch, in turn by two workers, each one twice; the first that is stored and no other is one."""
    chance = random.Random(reboot)
    expected = None
    for _ in range(40):
        run_id = str(uuid.uuid4())
        line = in_order(messages(run_id, reboot=reboot)) * 2
        chance.shuffle(line)
        verdicts = []
        while line:
            message = line.pop(0)
            [verdict] = commit(workers[chance.randrange(2)], [message])
            if isinstance(verdict, UnknownRun):
                assert message[0] == "run_end"
                line.append(message)
            else:
                verdicts.append(verdict)
        assert all(isinstance(each, Created) for each in verdicts)
        counted = workers[0][0].execute(
            b"SELECT (stored_at IS NOT NULL)::int + (ended_at IS NOT NULL)::int FROM runs WHERE run_id = %s", [run_id]
        )
        assert [sum(each.fate.row for each in verdicts)] == list(counted.fetchone())
        expected = expected or row_of(workers[0], run_id)
        assert row_of(workers[0], run_id) == expected
    assert expected[2] == "success"
    assert expected[6:8] == (40, 1)
    assert (expected[12] is not None) is reboot
    assert expected[13:15] == ("both", "both")
    assert expected[-1] == ["(/a,updated,quiet)"]


def test_two_workers_with_the_same_runs_at_once_leave_the_same_rows(workers: Any) -> None:
    """Thirty runs, their messages dealt to two workers who commit them in batches at the same time."""
    chance = random.Random(7)
    ids = [str(uuid.uuid4()) for _ in range(30)]
    everything = [message for run_id in ids for message in in_order(messages(run_id, reboot=True)) * 2]
    hands: list[list[Any]] = [[], []]
    for message in chance.sample(everything, len(everything)):
        hands[chance.randrange(2)].append(message)
    barrier, faults = threading.Barrier(2), []

    def work(worker: Any, hand: list[Any]) -> None:
        try:
            barrier.wait(LONG)
            while hand:
                batch, hand[:] = hand[:60], hand[60:]
                rank = list(runs.TELLINGS).index
                batch.sort(key=lambda message: rank(message[0]))
                verdicts = commit(worker, batch)
                hand += [message for message, each in zip(batch, verdicts, strict=True) if isinstance(each, UnknownRun)]
                assert all(isinstance(each, Created | UnknownRun) for each in verdicts)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(workers, hands, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    rows = [row_of(workers[0], each) for each in ids]
    assert all(row == rows[0] for row in rows)
    assert rows[0][13:15] == ("both", "both")


def test_a_run_that_another_worker_is_about_to_make_known_is_waited_for(workers: Any) -> None:
    """Both doors' starts within milliseconds: the second one merges into what the first has committed."""
    run_id = str(uuid.uuid4())
    told = messages(run_id)
    (connection, table), other = workers
    done: list[Any] = []
    with connection.transaction():
        table.prepare(connection, {"run_start": told["run_start"]})
        [created] = table.writes["run_start"](connection, told["run_start"])
        thread = threading.Thread(target=lambda: done.extend(commit(other, [("begun", told["begun"][0])])))
        thread.start()
        thread.join(0.2)
        assert done == []
    thread.join(LONG)
    assert (created.fate.name, done[0].fate.name) == ("stored", "merged")
    assert row_of(other, run_id)[13] == "both"


def test_an_early_failure_without_times_is_stored_and_a_later_start_moves_it(workers: Any) -> None:
    """The times are guessed until somebody tells them, and the resources stay with their run."""
    run_id = str(uuid.uuid4())
    told = messages(run_id)
    converged = told["converged"][0]
    early = converged._replace(
        start=converged.start._replace(start_time=CAME, start_guessed=True),
        end=converged.end._replace(status="failure", end_time=CAME, end_guessed=True),
    )
    assert commit(workers[0], [("converged", early)])[0].duplicate is False
    assert row_of(workers[0], run_id)[15:17] == (True, True)
    commit(workers[1], [("run_start", told["run_start"][0])])
    row = row_of(workers[1], run_id)
    assert row[15:17] == (False, True)
    assert row[-1] == ["(/a,updated,quiet)"]


def test_another_node_that_names_the_run_is_refused_by_its_door_and_noted_by_the_other(workers: Any) -> None:
    """A door reads the node from the URL or from the body; where they differ, the first one stays."""
    run_id = str(uuid.uuid4())
    told = messages(run_id)
    begun = told["begun"][0]
    elsewhere = begun._replace(start=begun.start._replace(node_name="web02"))
    commit(workers[0], [("begun", begun)])
    [refused] = commit(workers[0], [("begun", elsewhere)])
    assert isinstance(refused, Conflict)
    other = ("run_end", told["run_end"][0]._replace(organization="canterlot"))
    verdicts = [*commit(workers[1], [other]), *commit(workers[0], [("begun", begun), other])]
    assert [type(each) for each in verdicts] == [Created] * 3
    assert [each.door_mismatch for each in verdicts] == [True, False, False], "counted by the one that makes it so"
    row = row_of(workers[0], run_id)
    assert (row[:2], row[17]) == (("ponyville", "web01"), True)
