"""A broker of three nodes that loses one, two, or its wires: C1 to C4."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from cluster import Cluster

from ingest.local.install import Places, find
from ingest.local.stack import _account
from ingest.soak import nemesis
from ingest.soak.senders import Load, Sender
from ingest.soak.system import System, until
from schemas.topology import ACTIONS, RUNS
from tests.servers import fresh_folder, remove_state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECOVERY_SECONDS = 90


@pytest.fixture(scope="module")
def cluster():
    """Three nodes, healed by each scenario."""
    folder = fresh_folder("chef-ingest-cluster-")
    folder.chmod(0o711)
    programs = find(os.environ, Places())
    try:
        with Cluster(folder, programs, _account("rabbitmq"), os.environ["PATH"]) as cluster:
            yield cluster
    finally:
        remove_state(folder)


@pytest.fixture
def clustered(cluster, harmed_databases, tmp_path):
    """The product against the cluster: every process knows all nodes, shims and senders begin with different ones."""
    cluster.heal()
    database_url = harmed_databases.create(migrated=True)
    with System(tmp_path, amqp_url=cluster.url, database_url=database_url, heartbeat_seconds=5) as system:
        system.declare()
        for node in cluster.nodes:
            node.sync()
        yield system
    harmed_databases.drop(database_url)


def _senders(system, cluster, workload):
    return [
        *(Sender("amqp", cluster.url_from(first), workload.actions(), rate=60) for first in range(3)),
        Sender("201", system.url(), workload.actions(), rate=20),
        Sender("202", system.url(), workload.actions(), rate=50),
    ]


def test_the_leaders_node_killed_loses_nothing(clustered, cluster, ledger, workload, holds):
    """C1: another node leads, whoever was connected to the dead one finds it, and every confirmed message is there."""
    system = clustered
    supervisor = system.started()
    with Load(ledger, _senders(system, cluster, workload)) as load:
        until(lambda: system.stored() > 200, "rows appear")
        victim = cluster.nodes[cluster.leader(ACTIONS)]
        victim.kill()
        before = system.stored()
        system.ready(RECOVERY_SECONDS)
        until(lambda: system.stored() > before + 100, "rows go on", RECOVERY_SECONDS)
        victim.process.spawn()
        victim.wait_ready()
        load.stop()
    cluster.wait_whole()
    account = holds(system.settle(ledger, supervisor))
    assert account.letters == 0


def test_a_node_cut_off_promises_nothing(clustered, cluster, ledger, workload, holds):
    """C2: a frozen node, and then one without its wires, costs nothing; whoever publishes to a minority is refused."""
    system = clustered
    supervisor = system.started()
    with Load(ledger, _senders(system, cluster, workload)) as load:
        until(lambda: system.stored() > 200, "rows appear")
        leader = cluster.leader(ACTIONS)
        with nemesis.frozen([cluster.nodes[leader].process.pid]):
            time.sleep(20)
            system.ready(RECOVERY_SECONDS)
            before = system.stored()
            until(lambda: system.stored() > before + 50, "rows go on without the frozen node", RECOVERY_SECONDS)
        cluster.heal()
        for node in cluster.nodes:
            node.ctl("eval", "[erlang:disconnect_node(N) || N <- nodes()].")
            time.sleep(3)
        cluster.heal()
        system.ready(RECOVERY_SECONDS)
        load.stop()
    account = holds(system.settle(ledger, supervisor, seconds=240))
    assert account.letters == 0
    assert not [name for name in account.answers if name.isdigit() and name not in ("201", "202", "503")]


def test_without_a_majority_nothing_is_promised(clustered, cluster, ledger, workload, holds):
    """C3: with two of three nodes down every POST is 503; with them back, every confirmed message is there."""
    system = clustered
    supervisor = system.started()
    with Load(ledger, _senders(system, cluster, workload)) as load:
        until(lambda: system.stored() > 200, "rows appear")
        for node in cluster.nodes[:2]:
            node.kill()
        time.sleep(5)
        before = Counter(ledger.answers)
        time.sleep(20)
        told = Counter(ledger.answers) - before
        assert not {"201", "202", "200", "confirmed"} & set(told), told
        assert told["503"] > 0
        for node in cluster.nodes[:2]:
            node.process.spawn()
        for node in cluster.nodes[:2]:
            node.wait_ready()
        cluster.wait_whole()
        system.ready(RECOVERY_SECONDS)
        load.stop()
    account = holds(system.settle(ledger, supervisor, seconds=240))
    assert account.letters == 0


def test_a_rolling_restart_is_no_outage(clustered, cluster, ledger, workload, holds):
    """C4: with every node restarted in turn, clients go to another of their list and the ledger holds."""
    system = clustered
    supervisor = system.started()
    with Load(ledger, _senders(system, cluster, workload)) as load:
        until(lambda: system.stored() > 100, "rows appear")
        for node in cluster.nodes:
            node.process.stop()
            node.process.spawn()
            node.wait_ready()
            cluster.wait_whole()
            system.ready(RECOVERY_SECONDS)
        system.consuming(ACTIONS, 2, RECOVERY_SECONDS)
        system.consuming(RUNS, 2, RECOVERY_SECONDS)
        load.stop()
    account = holds(system.settle(ledger, supervisor, seconds=240))
    assert account.letters == 0
