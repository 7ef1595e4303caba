"""Real servers for the tests: one stack a session with all its workers; each test has its own database and vhost."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from ingest.local.stack import LocalStack
from tests.proved import Recorder
from tests.servers import Databases, RunningStack, VhostPool, fresh_folder, private_stack

# No test asserts a time: how long an example takes is the machine's.
hypothesis.settings.register_profile("timeless", deadline=None)
hypothesis.settings.load_profile("timeless")

# Hundreds of processes are started here: each finds what the first one compiled. `make clean` removes it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Where the machine's shims keep theirs, tests keep nothing: those that have a spool have their own.
os.environ["INGEST_COLLECTOR_SPOOL"] = ""

PREFIX = "chef-ingest-test-"
SERVERS = pytest.StashKey[Path]()
"""In a session with workers (`-n`): the state folder of the stack that all of them use."""
HERE = Path(__file__).parent
UNIT = HERE / "unit"
FIRST = ("faults", "integration", "browser", "contract", "unit")
LONG = (
    "test_supervisor", "test_operate", "test_replay", "test_up", "test_letter_birth", "test_http_broker_faults",
    "test_local_stack", "test_main_path", "test_dead_letters", "test_bench", "test_up_guarded", "test_deploy",
    "test_http_auth", "test_console", "test_machines",
)  # fmt: skip
"""Side by side the long files begin first, so that none of them is waited for alone at the end."""
TOGETHER = {"tests/faults/test_workers.py": "workers", "tests/faults/test_bodies.py": "workers"}
"""Who runs fault scenarios starts servers to be harmed, which takes longer than a scenario: two workers do."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--servers", help="the state folder of servers that run already, and are left running")
    parser.addoption("--proved", type=Path, help="the file where it is written down what passed, if nothing failed")


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores Ctrl-C, and so would each process that it starts: some of ours are sent one.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    path = config.getoption("--proved")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(path))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The controller tells each worker where the servers are going to be."""
    if SERVERS not in node.config.stash:
        node.config.stash[SERVERS] = fresh_folder(PREFIX)
    node.workerinput["servers"] = str(node.config.stash[SERVERS])


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """The controller runs the servers for its workers, in its main thread: they end with it, however it ends."""
    folder = session.config.stash.get(SERVERS, None)
    if folder is None:
        return (yield)
    if _only_unit_tests(session.config):
        folder.rmdir()
        return (yield)
    with private_stack(folder):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """File by file, but for the fault scenarios: a half of them with each of two workers."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, "faults") if file.startswith("tests/faults/") else str(file)

    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _turn(item.path))


def _turn(path: Path) -> tuple[int, int, bool]:
    """Rooms in order, and within a room the long files first; of the scenarios those that go together."""
    long = LONG.index(path.stem) if path.stem in LONG else len(LONG)
    return FIRST.index(path.relative_to(HERE).parts[0]), long, str(path.relative_to(HERE.parent)) not in TOGETHER


def _only_unit_tests(config: pytest.Config) -> bool:
    asked = [Path(config.invocation_params.dir, each.partition("::")[0]).resolve() for each in config.args]
    return all(each.is_relative_to(UNIT) for each in asked)


@pytest.fixture(scope="session")
def owner() -> str:
    """What the names of this worker's vhosts and databases begin with: its own name, or `test` without workers, and
    what no other session has, that may use the same servers."""
    return os.environ.get("PYTEST_XDIST_WORKER", "test") + secrets.token_hex(3)


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[LocalStack]:
    """Servers shared by all tests of all workers: leave them running."""
    told = getattr(request.config, "workerinput", {}).get("servers") or request.config.getoption("--servers")
    if told is not None:
        yield RunningStack(Path(told))
        return
    with private_stack(fresh_folder(PREFIX)) as stack:
        yield stack


@pytest.fixture(scope="session")
def vhost_pool(servers: LocalStack, owner: str) -> VhostPool:
    assert servers.rabbit is not None
    return VhostPool(servers.rabbit, owner)


@pytest.fixture
def amqp_url(vhost_pool: VhostPool) -> Iterator[str]:
    """The AMQP URL of an empty vhost, this test's own."""
    url = vhost_pool.take()
    yield url
    vhost_pool.give_back(url)


@pytest.fixture(scope="session")
def databases(servers: LocalStack, owner: str) -> Databases:
    assert servers.postgres is not None
    return Databases(servers.postgres.url, owner)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The URL of a migrated, empty database, this test's own."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """The URL of a database without any table, this test's own."""
    url = databases.create(migrated=False)
    yield url
    databases.drop(url)
