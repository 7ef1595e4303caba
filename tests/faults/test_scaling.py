"""Workers that come and go while messages flow, and a schema that changes under them: S21, S30, S32."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

import ingest
from ingest.soak.senders import Load, Sender
from ingest.soak.system import children, signal_all, until
from schemas.topology import ACTIONS
from tests.patience import LONG

pytestmark = pytest.mark.slow

SOURCE = Path(ingest.__file__).parent.parent


def test_scaling_and_rolling_restarts_are_not_noticed(system, ledger, workload, holds):
    """S21: a reload, five workers more, five fewer, and another reload: no 5xx, nothing lost, nothing twice."""
    supervisor = system.started(1)
    senders = [
        Sender("amqp", system.amqp_url, workload.actions(), rate=300),
        Sender("201", system.url(), workload.actions(), rate=20),
        Sender("202", system.url(), workload.actions(), rate=50),
    ]
    steps = [
        (signal.SIGHUP, 1),
        *((signal.SIGTTIN, n) for n in range(2, 7)),
        *((signal.SIGTTOU, n) for n in (5, 4, 3, 2, 1)),
    ]
    steps.append((signal.SIGHUP, 1))
    with Load(ledger, senders) as load:
        until(lambda: system.stored() > 100, "rows appear")
        for number, count in steps:
            before = set(children(supervisor.pid))
            signal_all([supervisor.pid], number)
            if number == signal.SIGHUP:
                until(lambda before=before: not before & set(children(supervisor.pid)), "every worker is a new one")
            system.consuming(ACTIONS, count)
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    assert supervisor.poll() == 0
    assert account.letters == 0
    assert set(account.answers) <= {"201", "202", "confirmed"}


@pytest.mark.timeout(600)
def test_a_worker_added_to_a_backlog_gets_its_share(system, ledger, workload, holds):
    """S30: a second worker added to a backlog of 30,000 commits batches of it at once, prefetched or not."""
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(30_000, data_bytes=50))]) as load:
        load.join(300)
    first = system.worker("first")
    until(lambda: system.stored() > 0, "the first one works")
    second = system.worker("second")
    until(lambda: any(each["event"] == "batch committed" for each in system.log("second")), "the second one works")
    account = holds(system.settle(ledger, first, second, seconds=240))
    assert account.stored == 30_000
    shares = {
        name: sum(each["messages"] for each in system.log(name) if each["event"] == "batch committed")
        for name in ("first", "second")
    }
    print(shares)
    assert shares["second"] > 1000


@pytest.mark.timeout(400)
def test_a_migration_under_load_is_not_noticed(system, ledger, workload, holds, tmp_path):
    """S32: a new version's migration waits its turn without making workers wait, then old and new work together."""
    newer = _newer(tmp_path)
    old = system.started(1)
    with Load(
        ledger,
        [
            Sender("amqp", system.amqp_url, workload.actions(), rate=300),
            Sender("201", system.url(), workload.actions(), rate=20),
        ],
    ) as load:
        until(lambda: system.stored() > 100, "rows appear")
        with psycopg.connect(system.database_url) as reader:
            # An analyst's transaction: ALTER TABLE has to wait for it, and nobody may have to wait for ALTER TABLE.
            reader.execute("SELECT count(*) FROM actions")
            migration = subprocess.Popen(
                [sys.executable, "-m", "ingest", "migrate"], cwd=newer,
                env={"DATABASE_URL": system.database_url, "PYTHONPATH": str(newer), "PATH": "/usr/bin:/bin"},
            )  # fmt: skip
            for _ in range(6):
                before = system.stored()
                until(lambda before=before: system.stored() > before, "rows go on beside the waiting migration")
                time.sleep(1)
            assert migration.poll() is None
        assert migration.wait(LONG) == 0
        new = system.consumers(1, name="new", environ={"PYTHONPATH": str(newer)})
        system.consuming(ACTIONS, 2)
        before = len([each for each in system.log("new") if each["event"] == "batch committed"])
        until(lambda: len(system.log("new")) > before + 20, "the new version commits")
        load.stop()
    with psycopg.connect(system.database_url) as connection:
        assert connection.execute("SELECT count(tomorrow) FROM actions").fetchone() == (0,)
    account = holds(system.settle(ledger, old, new))
    assert account.letters == 0
    assert set(account.answers) <= {"201", "202", "confirmed"}


def _newer(tmp_path) -> Path:
    """This program with one migration more, which alters the busiest table."""
    newer = tmp_path / "newer"
    for floor in ("ingest", "consumers", "schemas"):
        shutil.copytree(SOURCE / floor, newer / floor, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "schemas" / "migrations" / "9999_tomorrow.sql").write_text(
        "ALTER TABLE actions ADD COLUMN tomorrow text;\n"
    )
    return newer
