"""A database that stops, hangs, fills up, locks or throws us out: S6 to S9."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from impatience import given_up, impatient
from operate_support import command, environment

from ingest.soak import nemesis
from ingest.soak.senders import Load, Sender
from ingest.soak.system import children, until
from schemas.topology import ACTIONS


def workers_memory(supervisor) -> int:
    """The largest resident size, in bytes, that any worker has had so far."""
    peaks = []
    for pid in children(supervisor.pid):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        peaks += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return max(peaks)


def test_a_stopped_database_is_waited_for_with_the_batch_in_hand(system, harmed, ledger, workload, holds):
    """S6: through an outage nothing is lost, dead-lettered or redelivered, and rows come again by themselves."""
    supervisor = system.started()
    system.consuming(ACTIONS, 2)
    senders = [
        Sender("amqp", system.amqp_url, workload.actions(), rate=600),
        Sender("201", system.url(), workload.actions(), rate=20),
        Sender("202", system.url(), workload.actions(), rate=50),
    ]
    with Load(ledger, senders) as load:
        until(lambda: system.stored() > 300, "rows appear")
        harmed.postgres.stop("immediate")
        time.sleep(10)
        harmed.postgres.start()
        before = system.stored()
        until(lambda: system.stored() > before, "a row after the start")
        load.stop()
    peak = workers_memory(supervisor)
    account = holds(system.settle(ledger, supervisor))
    events = [each["event"] for each in system.log("consumers")]
    assert account.letters == 0
    assert account.refused == 0, "the broker took what the database could not"
    assert "commits paused" in events
    assert "commits resumed" in events
    began = [each for each in system.log("consumers") if each["event"] == "consuming" and ACTIONS in each["queues"]]
    assert len(began) == 2, "deliveries were held, not given back and taken again"
    assert peak < 250 * 1024 * 1024


@pytest.mark.slow
def test_a_frozen_database_is_noticed_by_its_silence(make_system, harmed, ledger, workload, holds):
    """S7: a database that neither answers nor closes is an outage too, and the broker's heartbeats go on."""
    system = make_system(heartbeat_seconds=5, statement_timeout_seconds=5)
    supervisor = system.started()
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=200)]) as load:
        until(lambda: system.stored() > 100, "rows appear")
        with nemesis.postgres_frozen(harmed.postgres):
            time.sleep(45)
        until(lambda: system.stored() > 300, "rows go on")
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    lost = [
        each for each in system.log("consumers") if each["event"] == "waiting" and "RabbitMQ" in each.get("why", "")
    ]
    assert not lost, "the broker's connections lived"
    assert account.letters == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "sqlstate"), [(nemesis.read_only, "25006"), (nemesis.no_connections, "too many clients")],
    ids=["read_only", "no_connections"],
)  # fmt: skip
def test_a_database_that_refuses_pauses_the_workers(system, ledger, workload, holds, fault, sqlstate):
    """S8: read-only or out of connections: commits pause and say why, and resume by themselves."""
    supervisor = system.consumers(2)
    system.consuming(ACTIONS, 2)
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=200)]) as load:
        until(lambda: system.stored() > 100, "rows appear")
        with fault(system.database_url):
            until(lambda: any(sqlstate in each["why"] for each in paused(system)), "a worker says why it is paused")
            time.sleep(5)
        before = system.stored()
        until(lambda: system.stored() > before, "rows go on")
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0
    assert supervisor.poll() == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_read_only_database_outlasts_every_patience_and_makes_no_letter(make_system, harmed, ledger, workload, holds):
    """S8: longer than heartbeats, the supervisor's silence and the broker's patience with a held batch, shortened."""
    with impatient(harmed.rabbit, 15_000):
        system = make_system(heartbeat_seconds=2)
        sabotage = [sys.executable, str(Path(__file__).with_name("sabotage.py")), "impatient", "consume", "-n", "2"]
        supervisor = system.spawn("consumers", [*sabotage, "--state", str(system.folder / "state")])
        system.consuming(ACTIONS, 2)
        pids = set(children(supervisor.pid))
        with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=20)]) as load:
            until(lambda: system.stored() > 50, "rows appear")
            with nemesis.read_only(system.database_url):
                until(lambda: given_up(system) >= 2, "the broker has lost patience with both workers", 200)
                until(lambda: system.consumer_count(ACTIONS) == 0, "nothing is taken that could not be stored")
                time.sleep(15)
                assert system.consumer_count(ACTIONS) == 0
            load.stop()
    until(lambda: system.stored() == ledger.promised, "everything is stored")
    assert set(children(supervisor.pid)) == pids
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0


@pytest.mark.slow
def test_a_full_disk_pauses_the_workers(make_system, harmed, tmp_path, ledger, workload, holds):
    """S8: without room for another row (53100) commits pause, and resume when there is room again."""
    with small_disk(harmed, tmp_path) as (database_url, filler):
        system = make_system(database_url=database_url, direct_database_url=database_url)
        supervisor = system.consumers(2)
        system.consuming(ACTIONS, 2)
        with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(data_bytes=2000), rate=200)]) as load:
            until(lambda: system.stored() > 100, "rows appear")
            fill(filler)
            until(lambda: any("53100" in each["why"] for each in paused(system)), "the disk is full")
            time.sleep(5)
            filler.unlink()
            before = system.stored()
            until(lambda: system.stored() > before, "rows go on")
            load.stop()
        account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0


@contextmanager
def small_disk(harmed, tmp_path):
    """A migrated database in a tablespace of 80 MB, and a file on the same disk (mounting one takes root)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m,mode=0777", "tmpfs", disk], check=True)
    url = harmed.postgres.url
    try:
        for parent in disk.parents:
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        space = disk / "space"
        space.mkdir()
        shutil.chown(space, harmed.postgres.folder.stat().st_uid)
        space.chmod(0o700)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'".encode())
            connection.execute(b"CREATE DATABASE small TEMPLATE harmed_template TABLESPACE small STRATEGY file_copy")
        yield url.rpartition("/")[0] + "/small", disk / "filler"
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(b"DROP DATABASE IF EXISTS small WITH (FORCE)")
            connection.execute(b"DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", disk], check=True)


def fill(filler):
    """Write until there is no room."""
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024 * 1024))


@pytest.mark.slow
def test_locked_tables_are_waited_for(make_system, ledger, workload, holds):
    """S9: while somebody holds the table, the worker's own lock timeout makes it wait outside, not inside."""
    system = make_system(lock_timeout_seconds=1)
    supervisor = system.consumers(2)
    system.consuming(ACTIONS, 2)
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=200)]) as load:
        until(lambda: system.stored() > 100, "rows appear")
        with nemesis.locked(system.database_url):
            until(lambda: paused(system), "a worker says that it is paused")
            time.sleep(20)
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0
    assert any("55P03" in each.get("why", "") for each in paused(system))


@pytest.mark.slow
def test_terminated_backends_are_replaced_without_a_storm(system, ledger, workload, holds):
    """S9: thrown out every two seconds, the workers come back each time, and no process dies of it."""
    supervisor = system.started()
    pids = set(children(supervisor.pid))
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=300)]) as load:
        for _ in range(15):
            nemesis.terminate_backends(system.database_url)
            time.sleep(2)
        load.stop()
    assert set(children(supervisor.pid)) == pids
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0


def test_the_doctor_names_what_a_power_cut_would_cost(system, harmed, tmp_path):
    """fsync or full_page_writes switched off for the whole server is a warning each, and gone once it is on again."""
    env = environment(system.amqp_url, system.database_url, tmp_path / "state")

    def warned():
        rows = json.loads(command("doctor", "--output", "json", env=env).stdout)
        return [row["finding"] for row in rows if row["check"] == "database settings" and row["level"] == "warning"]

    names = ("fsync", "full_page_writes")
    with psycopg.connect(harmed.postgres.url, autocommit=True) as connection:
        try:
            for name in names:
                connection.execute(f"ALTER SYSTEM SET {name} = off".encode())
            connection.execute(b"SELECT pg_reload_conf()")
            until(lambda: [each.partition(" ")[0] for each in warned()] == list(names), "the doctor names both")
        finally:
            for name in names:
                connection.execute(f"ALTER SYSTEM RESET {name}".encode())
            connection.execute(b"SELECT pg_reload_conf()")
    until(lambda: not warned(), "both are on again")


def paused(system):
    return [each for each in system.log("consumers") if each["event"] == "commits paused"]
