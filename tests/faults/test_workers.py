"""Workers that die or are stopped at any moment: S1, S2, S10, S20."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

import pytest

from ingest.soak.senders import Load, Sender
from ingest.soak.system import children, signal_all, until
from schemas.topology import ACTIONS, QUARANTINE


def test_workers_killed_at_random_lose_and_double_nothing(system, ledger, workload, holds):
    """S1: however often workers are killed, each acknowledged message is one row and none is a letter."""
    supervisor = system.started(3)
    rng = random.Random(1)
    amqp = Sender("amqp", system.amqp_url, workload.actions(3000), rate=150)
    http = [Sender(door, system.url(), workload.actions(), rate=20) for door in ("201", "202")]
    kills = 0
    with Load(ledger, [amqp, *http]) as load:
        # A busy machine takes longer over the messages, and has more workers killed over them.
        while kills < 12 or ledger.promised <= 500:
            workers = children(supervisor.pid)
            if workers:
                signal_all([rng.choice(workers)], signal.SIGKILL)
                kills += 1
            time.sleep(rng.uniform(0.2, 0.8))
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0
    assert account.acknowledged > 500
    assert account.stored == account.acknowledged + account.recovered


def test_a_worker_that_dies_between_commit_and_ack_doubles_nothing(system, ledger, workload, holds):
    """S2: what was committed and not acked comes again, is counted as repeated, and adds no row."""
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(300))]) as load:
        load.join()
    doomed = system.worker("doomed", environ=_failing("after_commit"))
    until(lambda: doomed.poll() is not None, "the failpoint is reached")
    assert doomed.poll() == -signal.SIGKILL
    committed = system.stored()
    assert committed > 0
    worker = system.worker()
    account = holds(system.settle(ledger, worker))
    assert account.stored == account.sent == 300
    assert account.repeated == committed
    assert account.letters == 0


def test_a_worker_that_dies_after_keeping_a_letter_keeps_it_once(system, ledger, workload, holds):
    """S3: letters committed and not acked are letters once, and nothing is both a letter and a row."""
    scripts = [(workload.letter(),) for _ in range(40)] + [(workload.action(),) for _ in range(40)]
    with Load(ledger, [Sender("amqp", system.amqp_url, iter(scripts))]) as load:
        load.join()
    doomed = system.worker("doomed", environ=_failing("after_commit"))
    until(lambda: doomed.poll() is not None, "the failpoint is reached")
    worker = system.worker()
    account = holds(system.settle(ledger, worker))
    assert (account.stored, account.letters) == (40, 40)


def test_a_worker_that_dies_while_setting_a_suspect_aside_doubles_nothing(system, ledger, workload, holds):
    """S3: a suspect that is in quarantine and, its worker having died before the ack, in its queue too, is one row."""
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(20))]) as load:
        load.join()
    for moment, name in (("judge", "first"), ("judge", "second"), ("after_move", "third")):
        doomed = system.worker(name, environ=_failing(moment))
        until(lambda doomed=doomed: doomed.poll() is not None, f"the failpoint {moment} is reached")
    assert system.waiting()[QUARANTINE] == 1
    supervisor = system.consumers(1)
    account = holds(system.settle(ledger, supervisor))
    assert (account.stored, account.letters) == (20, 0)
    assert account.repeated == 1


@pytest.mark.slow
def test_overlapping_batches_in_reverse_order_do_not_deadlock_for_good(system, ledger, workload, holds):
    """S10: four workers that are given the same ids in opposite orders store each once, whoever waits for whom."""
    many = [workload.action() for _ in range(2000)]
    orders = [many, many[::-1], many[1000:] + many[:1000], many[::-1]]
    senders = [Sender("amqp", system.amqp_url, iter([(each,) for each in order])) for order in orders]
    with Load(ledger, senders) as load:
        load.join()
    supervisor = system.consumers(4)
    account = holds(system.settle(ledger, supervisor))
    assert account.stored == 2000
    assert account.repeated >= 6000
    assert account.letters == 0


@pytest.mark.parametrize("twice", [pytest.param(False, marks=pytest.mark.slow), True], ids=["once", "twice"])
def test_a_worker_told_to_stop_acks_only_what_is_committed(system, ledger, workload, holds, twice):
    """S20: SIGTERM in the middle of a batch, even twice, drains: exit 0, and nothing is left unacked."""
    supervisor = system.consumers(2)
    system.consuming(ACTIONS, 2)
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=1500)]) as load:
        until(lambda: system.stored() > 500, "rows appear")
        signal_all([supervisor.pid], signal.SIGTERM)
        if twice:
            time.sleep(0.1)
            signal_all([supervisor.pid], signal.SIGTERM)
        until(lambda: supervisor.poll() is not None, "the supervisor ends")
        load.stop()
    assert supervisor.poll() == 0
    codes = Counter(each["event"] for each in system.log("consumers") if each["event"].startswith("worker "))
    assert not codes, f"a worker died instead of draining: {codes}"
    rest = system.consumers(2, name="rest")
    account = holds(system.settle(ledger, rest))
    assert account.repeated == 0, "what was committed before the stop had been acked"
    assert account.letters == 0


def test_a_worker_told_to_stop_while_the_database_is_down_gives_everything_back(
    system, harmed, ledger, workload, holds
):
    """S20: SIGTERM during an outage ends within the grace, with nothing acked that is not committed."""
    supervisor = system.consumers(1, environ={"INGEST_DRAIN_SECONDS": "2"})
    system.consuming(ACTIONS, 1)
    harmed.postgres.stop("immediate")
    with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(400))]) as load:
        load.join()
    until(
        lambda: any(each["event"] == "commits paused" for each in system.log("consumers")), "the worker holds a batch"
    )
    signal_all([supervisor.pid], signal.SIGTERM)
    until(lambda: supervisor.poll() is not None, "the supervisor ends")
    assert supervisor.poll() == 0
    harmed.postgres.start()
    rest = system.consumers(1, name="rest")
    account = holds(system.settle(ledger, rest))
    assert account.stored == 400
    assert account.letters == 0


def _failing(moment: str) -> dict[str, str]:
    return {"INGEST_TEST_HOOKS": "1", "INGEST_FAILPOINT": moment}
