"""Networks that are slow, cut, silent or half-open, between the product and either server: S17, S18, S19."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from impatience import given_up, impatient

from ingest.soak.proxy import Proxy
from ingest.soak.senders import Load, Sender
from ingest.soak.system import through, until
from schemas.topology import ACTIONS

pytestmark = pytest.mark.slow

HEARTBEAT = 3


@pytest.fixture
def proxied(make_system, harmed):
    """The product behind two proxies: (system, the broker's proxy, the database's proxy)."""
    with ExitStack() as undo:
        broker = undo.enter_context(Proxy(harmed.rabbit.port))
        plain = make_system()
        database = undo.enter_context(Proxy(int(harmed.postgres.url.rpartition(":")[2].partition("/")[0])))
        yield (
            make_system(
                amqp_url=through(plain.direct_amqp_url, broker.port),
                database_url=through(plain.direct_database_url, database.port),
                heartbeat_seconds=HEARTBEAT,
                statement_timeout_seconds=5,
            ),
            broker,
            database,
        )


def _cut(proxy):
    for _ in range(10):
        proxy.cut()
        time.sleep(0.5)


def _cut_in_a_frame(proxy):
    for size in (1, 7, 8, 20, 100, 1000, 5000):
        proxy.cut(after_bytes=size)
        time.sleep(1.5)


def _black_hole(proxy):
    proxy.set(black_hole=True)
    time.sleep(5 * HEARTBEAT)
    proxy.set()


def _half_open(proxy):
    proxy.freeze()
    time.sleep(4 * HEARTBEAT)


def _slices(proxy):
    proxy.set(slice=3)
    time.sleep(5)
    proxy.set()


def _slow_close(proxy):
    proxy.set(slow_close=5)
    time.sleep(1)
    proxy.cut()
    time.sleep(3)
    proxy.set()


@pytest.mark.parametrize("leg", ["broker", "database"])
@pytest.mark.parametrize("harm", [_cut, _cut_in_a_frame, _black_hole, _half_open, _slices, _slow_close])
def test_a_spoiled_connection_loses_and_doubles_nothing(proxied, ledger, workload, holds, harm, leg):
    """S17: whatever happens to the bytes on the way, the ledger holds, and the product finds back by itself."""
    system, broker, database = proxied
    supervisor = system.started()
    senders = [
        Sender("amqp", system.direct_amqp_url, workload.actions(), rate=200),
        Sender("201", system.url(), workload.actions(), rate=20),
        Sender("202", system.url(), workload.actions(), rate=50),
    ]
    with Load(ledger, senders) as load:
        until(lambda: system.stored() > 100, "rows appear")
        harm(broker if leg == "broker" else database)
        system.ready()
        before = system.stored()
        until(lambda: system.stored() > before, "rows go on")
        load.stop()
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0
    assert not [name for name in account.answers if name.isdigit() and name not in ("201", "202", "503")]
    assert supervisor.poll() == 0


def test_a_slow_network_is_no_outage(proxied, ledger, workload, holds):
    """S18: with 200 ms and 64 kB/s on both legs no heartbeat is missed, and the ledger holds."""
    system, broker, database = proxied
    for proxy in (broker, database):
        proxy.set(latency=0.1, rate=64 * 1024)
    system.shim()
    supervisor = system.consumers(1)
    system.consuming(ACTIONS, 1)
    senders = [
        Sender("amqp", system.direct_amqp_url, workload.actions(600), rate=30),
        Sender("202", system.url(), workload.actions(100), rate=5),
    ]
    with Load(ledger, senders) as load:
        load.join()
    account = holds(system.settle(ledger, supervisor, seconds=180))
    assert account.acknowledged == 700
    assert not [each for each in system.log("consumers") if each["event"] == "waiting"]


@pytest.mark.timeout(400)
def test_a_consumer_the_broker_gave_up_is_redelivered_and_deduplicated(system, harmed, ledger, workload, holds):
    """S19: a broker that loses patience with a held batch takes it back; it is stored once even so."""
    with impatient(harmed.rabbit, 20_000):
        supervisor = system.consumers(2)
        system.consuming(ACTIONS, 2)
        with Load(ledger, [Sender("amqp", system.amqp_url, workload.actions(), rate=50)]) as load:
            until(lambda: system.stored() > 50, "rows appear")
            harmed.postgres.stop("immediate")
            until(lambda: given_up(system), "the broker gives up a consumer that acks nothing", 150)
            harmed.postgres.start()
            load.stop()
    # The broker takes a moment to take the deliveries back that it gave up, and nobody sees them meanwhile.
    until(lambda: system.stored() == ledger.promised, "everything is stored")
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0
