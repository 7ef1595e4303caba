"""A broker that stops, dies, raises alarms, is full, or is not as we left it: S11 to S16."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import httpx
import pika
import pytest

from consumers.broker.connection import ENDURING, connect
from consumers.delivery import Delivery
from consumers.errors import BrokerUnavailable
from consumers.worker.outbox import AmqpOutbox
from ingest.soak import nemesis
from ingest.soak.senders import PROMISES, Load, Sender
from ingest.soak.system import children, until
from schemas.message import Message
from schemas.topology import ACTIONS, INGEST_EXCHANGE, PINGS, QUARANTINE, RUNS
from tests.patience import LONG


def _http_codes(account):
    return {int(name) for name in account.answers if re.fullmatch("[0-9]{3}", name)}


@pytest.mark.parametrize("fault", [nemesis.broker_stopped, nemesis.broker_killed], ids=["stop_app", "kill"])
def test_a_broker_that_goes_and_comes_back_has_kept_every_confirmed_message(
    system, harmed, ledger, workload, holds, fault
):
    """S11: what was confirmed is stored, HTTP clients were told 503 and nothing else, consumers come back."""
    harmed.rabbit.sync()
    supervisor = system.started()
    senders = [
        Sender("amqp", system.amqp_url, workload.actions(), rate=100),
        Sender("201", system.url(), workload.actions(), rate=20),
        Sender("202", system.url(), workload.actions(), rate=40),
    ]
    with Load(ledger, senders) as load:
        until(lambda: system.stored() > 100, "rows appear")
        with fault(harmed.rabbit):
            time.sleep(3)
        system.consuming(ACTIONS, 2)
        system.consuming(RUNS, 2)
        system.ready()
        time.sleep(1)
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    assert _http_codes(account) <= {201, 202, 503}
    assert account.letters == 0
    assert supervisor.poll() == 0


def test_alarms_are_answered_at_once_and_end_without_a_restart(system, harmed, ledger, workload, holds):
    """S12: under a disk or memory alarm a POST is refused, never hangs, what is queued is drained, and it ends."""
    shim = system.shim()
    supervisor = system.consumers(1)
    system.ready()
    for alarm in (nemesis.disk_alarm, nemesis.memory_alarm):
        with nemesis.frozen(children(supervisor.pid)):
            with Load(ledger, [Sender("202", system.url(), workload.actions(300)) for _ in range(2)]) as load:
                load.join()
            before, costs = system.stored(), _costs(shim.pid)
            harm = alarm(harmed.rabbit)
            harm.__enter__()
        try:
            until(lambda: _post(system, ledger, workload) == 503, "the shim refuses")
            for _ in range(5):
                assert _post(system, ledger, workload) == 503
            assert system.health(path="/readyz") == 503
            until(lambda before=before: system.stored() >= before + 600, "the backlog is drained")
        finally:
            harm.__exit__(None, None, None)
        system.ready()
        until(lambda costs=costs: _costs(shim.pid) == costs, "no thread and no descriptor is left over")
        with Load(ledger, [Sender("201", system.url(), workload.actions(10))]) as load:
            load.join()
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0


@pytest.mark.slow
def test_a_long_outage_of_the_broker_kills_no_worker(system, harmed, ledger, workload, holds):
    """S11: whoever waits for the broker is alive, for longer than silence is borne, and consumes again by himself."""
    sabotage = [sys.executable, str(Path(__file__).with_name("sabotage.py")), "impatient", "consume", "-n", "2"]
    supervisor = system.spawn("consumers", [*sabotage, "--state", str(system.folder / "state")])
    system.consuming(ACTIONS, 2)
    pids = set(children(supervisor.pid))
    with nemesis.broker_stopped(harmed.rabbit):
        time.sleep(15)
    system.consuming(ACTIONS, 2)
    system.consuming(QUARANTINE, 1)
    assert set(children(supervisor.pid)) == pids
    assert not [each for each in system.log("consumers") if each["event"].startswith("worker ")]
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(20))]) as load:
        load.join()
    account = holds(system.settle(ledger, supervisor))
    assert (account.stored, account.letters) == (20, 0)


def test_nobody_waits_for_a_broker_in_alarm(system, harmed, monkeypatch):
    """S12: what is published into an alarm is given up as soon as the broker says so, and goes once that is over."""
    monkeypatch.setattr("consumers.broker.publisher.CONFIRM_SECONDS", 10**6)
    body = b"{}"
    suspect = Delivery(Message("action", body, "chef"), 1, 1, ACTIONS, "actions", "erchef.node.update",
                       properties=pika.BasicProperties())  # fmt: skip
    outbox = AmqpOutbox(lambda: connect(system.amqp_url, heartbeat=30, name="test", patience=ENDURING))
    with nemesis.disk_alarm(harmed.rabbit):
        for move in (outbox.quarantine, lambda each: outbox.park(each, "no letter")) * 2:
            with pytest.raises(BrokerUnavailable, match="blocks publishers"):
                move(suspect)
    until(lambda: _moved(outbox, suspect), "it goes")
    outbox.close()
    assert system.waiting()[QUARANTINE] >= 1


def _moved(outbox, suspect) -> bool:
    try:
        outbox.quarantine(suspect)
    except BrokerUnavailable:
        return False
    return True


def test_suspects_in_an_alarm_hold_nobody_up_and_become_no_letters(system, harmed, ledger, workload, holds):
    """S12: two workers were killed with their hands full: their messages can't be moved, and the rest drains."""
    few = {"INGEST_BATCH_MESSAGES": "20"}
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(400))]) as load:
        load.join()
    with nemesis.memory_alarm(harmed.rabbit):
        for name in ("first", "second"):
            doomed = system.worker(name, environ=few | {"INGEST_TEST_HOOKS": "1", "INGEST_FAILPOINT": "judge"})
            until(lambda doomed=doomed: doomed.poll() is not None, "it is killed")
        supervisor = system.consumers(1, environ=few)
        until(lambda: system.waiting()[ACTIONS] == 0, "nothing is left waiting")
        held = [each for each in system.log("consumers") if each["event"] == "deliveries stay in hand"]
        assert any("blocks publishers" in each["why"] for each in held), "and the worker says why"
        until(lambda: system.stored() >= 300, "the others are stored meanwhile")
        stored = system.stored()
    assert stored < 400, "some were suspects"
    until(lambda: system.stored() >= 400, "and they go once it is over")
    account = holds(system.settle(ledger, supervisor))
    assert (account.stored, account.letters) == (400, 0)


@pytest.mark.slow
def test_a_full_queue_refuses_and_loses_nothing(system, harmed, ledger, workload, holds):
    """S13: at its length limit the queue refuses: 503 with Retry-After over HTTP, a nack over AMQP."""
    system.shim()
    vhost = system.amqp_url.rpartition("/")[2]
    harmed.rabbit.ctl("set_policy", "-p", vhost, "--apply-to", "queues", "full", ACTIONS, '{"max-length": 50}')
    waits = []

    def seen(_sending, response):
        if response.status == 503:
            waits.append(response.headers.get("retry-after"))

    senders = [
        Sender("202", system.url(), workload.actions(200), seen=seen),
        Sender("amqp", system.amqp_url, workload.actions(200)),
    ]
    with Load(ledger, senders) as load:
        load.join()
    assert waits
    assert all(waits)
    supervisor = system.consumers(2)
    account = holds(system.settle(ledger, supervisor))
    assert account.answers["nack"] > 0
    assert account.letters == 0


def test_a_message_nobody_is_bound_for_is_never_promised(system, ledger, workload, holds):
    """S14: without the binding every POST is 503, whatever the client asked to wait for; with it again, 201."""
    supervisor = system.started(1)
    # Each worker declares the topology as it starts, the quarantine's too: the binding stays away once all have.
    system.consuming(ACTIONS, 1)
    system.consuming(QUARANTINE, 1)
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_unbind(ACTIONS, INGEST_EXCHANGE, "action.#")
        with Load(ledger, [Sender(door, system.url(), workload.actions(30)) for door in ("201", "202")]) as load:
            load.join()
        assert ledger.answers == {"503": 60}
        assert any(each["event"] == "publish_returned" for each in system.log("shim"))
        channel.queue_bind(ACTIONS, INGEST_EXCHANGE, "action.#")
    with Load(ledger, [Sender("201", system.url(), workload.actions(10))]) as load:
        load.join()
    account = holds(system.settle(ledger, supervisor))
    assert (account.acknowledged, account.recovered) == (10, 0)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["arguments", "permission"])
def test_a_broker_that_is_not_as_it_must_be_stops_everything_once(system, harmed, fault):
    """S15: a queue with other arguments, or a missing permission, ends in exit 78 with the remedy, not in a loop."""
    vhost = system.amqp_url.rpartition("/")[2]
    if fault == "arguments":
        with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
            channel = connection.channel()
            channel.queue_delete(ACTIONS)
            channel.queue_declare(ACTIONS, durable=True, arguments={"x-queue-type": "classic"})
        # Of all that differ the broker names one.
        words = f"queue {ACTIONS!r}: PRECONDITION_FAILED - inequivalent arg 'x-"
    else:
        # What is there need not be declared: only where something is missing is the right missed.
        with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
            connection.channel().queue_delete(PINGS)
        harmed.rabbit.ctl("set_permissions", "-p", vhost, harmed.rabbit.user, "", ".*", ".*")
        words = "permission"
    supervisor = system.consumers(2)
    until(lambda: supervisor.poll() is not None, "the supervisor gives up")
    harmed.rabbit.ctl("set_permissions", "-p", vhost, harmed.rabbit.user, ".*", ".*", ".*")
    assert supervisor.poll() == 78
    said = [each["why"] for each in system.log("consumers") if each["event"] == "stopped: configuration"]
    assert said
    assert len(said) <= 3, "one start each, not a loop"
    assert all(words in each for each in said), said


def test_a_deleted_queue_is_noticed_and_declared_again(patient, ledger, workload, holds):
    """S16: the loss of a consumer is noticed by itself, the queue is put back, and messages flow."""
    supervisor = patient.started()
    patient.consuming(ACTIONS, 2)
    with pika.BlockingConnection(pika.URLParameters(patient.amqp_url)) as connection:
        connection.channel().queue_delete(ACTIONS)
    until(lambda: _exists(patient.amqp_url), "the queue is declared again")
    patient.consuming(ACTIONS, 2)
    words = f"cancelled our consumer of {ACTIONS}, and does not say why: the queue was deleted, or"
    assert any(words in each.get("why", "") for each in patient.log("consumers"))
    with Load(ledger, [Sender("201", patient.url(), workload.actions(30))]) as load:
        load.join()
    assert ledger.answers == {"201": 30}, "each was stored, and its client heard of it"
    account = holds(patient.settle(ledger, supervisor))
    assert account.acknowledged == 30
    assert supervisor.poll() == 0


def _exists(amqp_url):
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        try:
            connection.channel().queue_declare(ACTIONS, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True


def _post(system, ledger, workload) -> int:
    sending = workload.action()
    ledger.sent(sending.key, sending.body, mark=sending.mark)
    with httpx.Client(trust_env=False, timeout=LONG) as client:
        status = client.post(system.url() + sending.path, content=sending.body).status_code
    if status in PROMISES:
        ledger.acknowledged(sending.key, str(status), time.monotonic())
    else:
        ledger.refused(sending.key, str(status))
    return status


def _costs(pid) -> tuple[int, int]:
    """Threads and open files of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())), len(list(Path(f"/proc/{pid}/fd").iterdir()))
