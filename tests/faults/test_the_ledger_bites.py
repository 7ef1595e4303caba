"""A guarantee that is broken on purpose shows in the ledger: the scenarios would not pass by themselves."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pika
import psycopg
import pytest

from ingest.soak import nemesis
from ingest.soak.senders import Load, Sender
from ingest.soak.system import signal_all, until
from schemas.topology import ACTIONS, INGEST_EXCHANGE


def sabotaged(how: str, *command: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("sabotage.py")), how, *command]


@pytest.mark.parametrize("honest", [True, False], ids=["honest", "sabotaged"])
def test_acking_before_the_commit_loses_messages(system, harmed, ledger, workload, honest):
    """A worker killed with a batch in hand costs nothing, unless it has told the broker too early."""
    how = ["-m", "ingest"] if honest else sabotaged("ack_before_commit")[1:]
    worker = system.spawn("worker", [sys.executable, *how, "worker", "--lane", "main"])
    until(lambda: any(each["event"] == "partitions made" for each in system.log("worker")), "the worker is ready")
    with nemesis.locked(system.database_url):
        signal_all([worker.pid], signal.SIGSTOP)
        with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(400))]) as load:
            load.join()
        if not honest:
            # What the broker lists is seconds old: fewer than all says nothing before all have been listed.
            until(lambda: _kept(harmed, system) == 400, "the broker lists them all")
        signal_all([worker.pid], signal.SIGCONT)
        until(lambda: _waits_for_a_lock(system), "a batch is in hand")
        if not honest:
            until(lambda: _kept(harmed, system) < 400, "the broker has been told, and forgets it")
        signal_all([worker.pid], signal.SIGKILL)
        until(lambda: worker.poll() is not None, "the worker is dead")
    rest = system.worker("rest")
    account = system.settle(ledger, rest)
    print(f"\n{account}")
    assert account.holds == honest
    assert bool(account.lost) != honest


def test_publishing_without_mandatory_loses_messages(system, ledger, workload):
    """Without `mandatory` the broker confirms what it has no queue for: the S14 scenario ends in losses."""
    system.shim(argv=sabotaged("without_mandatory", "serve"))
    worker = system.worker()
    system.ready()
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        connection.channel().queue_unbind(ACTIONS, INGEST_EXCHANGE, "action.#")
    with Load(ledger, [Sender("202", system.url(), workload.actions(30))]) as load:
        load.join()
    account = system.settle(ledger, worker)
    print(f"\n{account}")
    assert len(account.lost) == 30
    assert not account.holds


def test_promising_before_the_confirm_loses_messages(system, harmed, ledger, workload):
    """A 202 that does not wait for the broker's confirm is a promise that a full queue breaks."""
    system.shim(argv=sabotaged("without_confirms", "serve"))
    vhost = system.amqp_url.rpartition("/")[2]
    harmed.rabbit.ctl("set_policy", "-p", vhost, "--apply-to", "queues", "full", ACTIONS, '{"max-length": 20}')
    with Load(ledger, [Sender("202", system.url(), workload.actions(200))]) as load:
        load.join()
    worker = system.worker()
    account = system.settle(ledger, worker)
    print(f"\n{account}")
    assert account.lost
    assert not account.holds


def test_storing_without_the_key_doubles_rows(system, ledger, workload):
    """Without the id's key a repeated message is a second row, and the ledger says so."""
    worker = system.spawn("worker", sabotaged("without_key", "worker", "--lane", "main"))
    system.consuming(ACTIONS, 1)
    many = [workload.action() for _ in range(50)]
    for _ in range(2):
        with Load(ledger, [Sender("amqp", system.amqp_url, iter([(each,) for each in many]))]) as load:
            load.join()
        system.quiet()
    account = system.settle(ledger, worker)
    print(f"\n{account}")
    assert len(account.duplicated) == 50
    assert not account.holds


def _kept(harmed, system) -> int:
    """How many messages the broker lists as kept: ready or unacked."""
    vhost = system.amqp_url.rpartition("/")[2]
    listed = harmed.rabbit.ctl("-q", "list_queues", "-p", vhost, "--no-table-headers", "name", "messages")
    return int(dict(line.split("\t") for line in listed.splitlines())[ACTIONS])


def _waits_for_a_lock(system) -> bool:
    with psycopg.connect(system.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row[0] > 0
