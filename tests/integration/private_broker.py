"""A RabbitMQ node of a test's own, to be killed, started and starved without harm to anybody else's tests."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest.local.install import Places, find
from ingest.local.processes import ProcessLedger
from ingest.local.rabbitmq import RabbitMQ, RabbitMQPorts
from ingest.local.stack import LocalStack, _account
from ingest.soak.ports import free_ports
from tests.servers import folder_of_servers

FRESH = "collect_statistics_interval = 1000\n"
"""The API shows a node's alarms as old as this."""


@contextmanager
def private_broker() -> Iterator[RabbitMQ]:
    """A started node; gone at the end."""
    nowhere = "postgresql://127.0.0.1:1/nothing"
    with folder_of_servers("chef-ingest-broker-") as folder:
        folder.chmod(0o755)
        stack = LocalStack(folder / "state", database_url=nowhere, environ=os.environ, say=lambda _: None)
        with stack:
            assert stack.rabbit is not None
            yield stack.rabbit


@dataclass(frozen=True)
class ManagedBroker:
    """A node, and where its management API answers."""

    rabbit: RabbitMQ
    management_url: str


@contextmanager
def managed_broker() -> Iterator[ManagedBroker]:
    """A started node with RabbitMQ's management plugin, which looks at itself every second; gone at the end."""
    programs, account = find(os.environ, Places()), _account("rabbitmq")
    assert programs.rabbitmq is not None
    assert programs.epmd is not None
    amqp, distribution, epmd, http = free_ports(4)
    with folder_of_servers("chef-ingest-managed-") as home:
        if account is not None:
            os.chown(home, account.uid, account.gid)
        rabbit = RabbitMQ(
            scripts=programs.rabbitmq,
            epmd=programs.epmd,
            folder=home / "data",
            log=home / "rabbitmq.log",
            ports=RabbitMQPorts(amqp=amqp, distribution=distribution, epmd=epmd),
            node=f"chef-ingest-managed-{secrets.token_hex(3)}",
            password=secrets.token_hex(16),
            account=account,
            ledger=ProcessLedger(home / "processes.json"),
            path=os.environ["PATH"],
            config=f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http}\n{FRESH}",
            plugins=("rabbitmq_management",),
        )
        try:
            rabbit.start()
            yield ManagedBroker(rabbit, f"http://127.0.0.1:{http}")
        finally:
            rabbit.stop()
