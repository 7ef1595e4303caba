"""Servers to be harmed: one private stack a session, healed after each scenario; a vhost and database for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.local.stack import LocalStack
from ingest.soak.ledger import Reconciliation, SoakLedger
from ingest.soak.system import System
from ingest.soak.workload import Workload
from tests.servers import Databases, VhostPool, fresh_folder, private_stack


@pytest.fixture(scope="session")
def harmed() -> Iterator[LocalStack]:
    """A private RabbitMQ and PostgreSQL that scenarios may stop, starve and kill."""
    with private_stack(fresh_folder("chef-ingest-faults-")) as stack:
        yield stack


@pytest.fixture(scope="session")
def harmed_vhosts(harmed: LocalStack) -> VhostPool:
    assert harmed.rabbit is not None
    return VhostPool(harmed.rabbit, "harmed", at_once=8)


@pytest.fixture(scope="session")
def harmed_databases(harmed: LocalStack) -> Databases:
    assert harmed.postgres is not None
    return Databases(harmed.postgres.url, "harmed")


@pytest.fixture
def make_system(
    harmed: LocalStack, harmed_vhosts: VhostPool, harmed_databases: Databases, tmp_path: Path
) -> Iterator[Callable[..., System]]:
    """Makes systems on one fresh vhost and one fresh database; ends them, and heals the servers, at the end."""
    assert harmed.rabbit is not None
    assert harmed.postgres is not None
    amqp_url = harmed_vhosts.take()
    database_url = harmed_databases.create(migrated=True)
    with ExitStack() as undo:
        undo.callback(harmed_vhosts.give_back, amqp_url)
        undo.callback(harmed_databases.drop, database_url)
        undo.callback(harmed.rabbit.start)
        undo.callback(harmed.postgres.start)

        def make(**arguments: object) -> System:
            urls = {"amqp_url": amqp_url, "database_url": database_url}
            urls |= {"direct_amqp_url": amqp_url, "direct_database_url": database_url}
            system = System(tmp_path, **(urls | arguments))  # type: ignore[arg-type]
            system.declare()
            return undo.enter_context(system)

        yield make


@pytest.fixture
def system(make_system: Callable[..., System]) -> System:
    """The product against servers that may be harmed; nothing is started yet."""
    return make_system()


@pytest.fixture
def patient(make_system: Callable[..., System]) -> System:
    """The same, where clients wait for their verdict about as long as they wait for any answer."""
    return make_system(wait_seconds=15, confirm_timeout_seconds=15)


@pytest.fixture
def ledger() -> SoakLedger:
    return SoakLedger()


@pytest.fixture
def workload() -> Workload:
    return Workload(seed=20261122, today=datetime.now(UTC))


@pytest.fixture
def holds(request: pytest.FixtureRequest) -> Callable[[Reconciliation], Reconciliation]:
    """Prints an account, and fails unless it holds."""

    def check(account: Reconciliation) -> Reconciliation:
        print(f"\n{request.node.name}\n{account}")
        assert account.holds, f"\n{account}"
        return account

    return check
