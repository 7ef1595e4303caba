"""A RabbitMQ cluster of three nodes on loopback, each with ports and a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ingest.local.install import Programs
from ingest.local.processes import Account, ProcessFailed, ProcessLedger
from ingest.local.rabbitmq import READY_SECONDS, RabbitMQ, RabbitMQPorts
from ingest.soak.ports import free_ports
from schemas.topology import VHOST

NODES: Final = 3

_CONFIG: Final = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
net_ticktime = 8
"""


class Cluster:
    """Started on entering, with one user everywhere; `nodes` are to be harmed one by one."""

    def __init__(self, folder: Path, programs: Programs, account: Account | None, path: str) -> None:
        assert programs.rabbitmq is not None
        assert programs.epmd is not None
        ports = free_ports(2 * NODES + 1)
        names = [f"chef-ingest-{number}-{secrets.token_hex(3)}" for number in range(1, NODES + 1)]
        peers = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}@localhost\n"
            for number, name in enumerate(names, 1)
        )
        cookie, password = secrets.token_hex(20), secrets.token_hex(16)
        self._undo = ExitStack()
        self.nodes: list[RabbitMQ] = []
        for number, name in enumerate(names):
            home = folder / f"node-{number + 1}"
            home.mkdir(parents=True)
            node = RabbitMQ(
                scripts=programs.rabbitmq,
                epmd=programs.epmd,
                folder=home / "data",
                log=home / "rabbitmq.log",
                ports=RabbitMQPorts(amqp=ports[2 * number], distribution=ports[2 * number + 1], epmd=ports[-1]),
                node=name,
                password=password,
                account=account,
                ledger=ProcessLedger(home / "processes.json"),
                path=path,
                cookie=cookie,
                config=_CONFIG + peers,
            )
            if account is not None:
                os.chown(home, account.uid, account.gid)
            self.nodes.append(node)

    def __enter__(self) -> Self:
        for node in self.nodes:
            # The first one's port mapper serves all: it is stopped last.
            self._undo.callback(node.stop)
        try:
            for node in self.nodes:
                node.spawn()
            for node in self.nodes:
                node.wait_ready()
            self.wait_whole()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            if node.process.pid is not None:
                node.process.stop(signal.SIGKILL)
        self._undo.close()

    @property
    def url(self) -> str:
        """The comma-separated AMQP URLs of all nodes, for the vhost `/analytics`."""
        return ",".join(node.url for node in self.nodes)

    def url_from(self, first: int) -> str:
        """The same, another node tried first."""
        order = self.nodes[first:] + self.nodes[:first]
        return ",".join(node.url for node in order)

    def leader(self, queue: str) -> int:
        """Which node leads a quorum queue. Raises ProcessFailed or ValueError where nobody does."""
        asking = next(node for node in self.nodes if node.process.pid is not None)
        said = asking.ctl("-q", "list_queues", "-p", VHOST, "--no-table-headers", "name", "pid")
        line = next(line for line in said.splitlines() if line.split("\t")[0] == queue)
        return next(number for number, node in enumerate(self.nodes) if node.name in line)

    def heal(self) -> None:
        """Make it whole: what dead nodes and wires do not heal by themselves, restarts do, as an operator's would."""
        for node in self.nodes:
            if node.process.pid is None:
                node.start()
        try:
            self.wait_whole(20)
        except TimeoutError:
            # Mnesia does not heal a partition that only one side has noticed.
            for node in self.nodes:
                node.kill()
                node.start()
            self.wait_whole()

    def wait_whole(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every node sees all of them running."""
        deadline = time.monotonic() + seconds
        while not all(_sees(node) == NODES for node in self.nodes):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the cluster is not whole within {seconds:g} s")
            time.sleep(0.5)


def _sees(node: RabbitMQ) -> int:
    """How many running nodes a node knows of; 0 when it does not say."""
    try:
        return len(json.loads(node.ctl("-q", "cluster_status", "--formatter", "json"))["running_nodes"])
    except (ProcessFailed, ValueError):
        return 0
