"""The local stack on the machine's real servers: kept data, cleaned leftovers, honest refusals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import psycopg
import pytest

from ingest.local.processes import Identity, identify
from ingest.local.stack import LocalStack, StackUrls
from ingest.local.state import StateError, read_environment
from tests.servers import fresh_folder, private_stack

DEADLINE_SECONDS = 60

OWNER = """
import os, sys, time
from pathlib import Path
from ingest.local.stack import LocalStack
stack = LocalStack(Path(sys.argv[1]), amqp_url=sys.argv[2] or None, environ=os.environ, say=lambda line: None)
stack.start()
print("up", *(p.pid for p in (stack.postgres.process, stack.rabbit and stack.rabbit.process) if p), flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose parent (0700, ours) keeps the servers' users out."""
    tmp_path.chmod(0o700)
    state = tmp_path / "state"
    yield state
    shutil.rmtree((state / "data").resolve(), ignore_errors=True)


def quiet(line: str) -> None:
    """Says nothing."""


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not within a minute"
        time.sleep(0.02)


def await_ended(identity: Identity) -> None:
    await_true(lambda: not identity.is_running())


def own_up(folder: Path, amqp_url: str) -> tuple[subprocess.Popen[str], list[Identity]]:
    """Another process that owns the stack, and the servers' identities."""
    command = [sys.executable, "-c", OWNER, str(folder), amqp_url]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        word, *pids = owner.stdout.readline().split()
    assert word == "up"
    found = [identify(int(pid)) for pid in pids]
    return owner, [each for each in found if each is not None]


def publish_one(url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", "kept", b"kept", pika.BasicProperties(delivery_mode=2), mandatory=True)
    connection.close()


def take_one(url: str) -> bytes | None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    found: list[bytes | None] = []

    def got() -> bool:
        _, _, body = channel.basic_get("kept", auto_ack=True)
        found.append(body)
        return body is not None

    await_true(got)  # a quorum queue elects its leader first
    connection.close()
    return found[-1]


def commit_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")


def committed_row(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT n FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def test_both_halves_come_back_with_their_data(folder: Path) -> None:
    """What was confirmed and committed is there after a stop and a start on the same folder, at the same URLs."""
    with LocalStack(folder, environ=os.environ, say=quiet) as stack:
        first = read_environment(folder)
        publish_one(first["AMQP_URL"])
        commit_row(first["DATABASE_URL"])
        pids = [each.process.pid for each in (stack.rabbit, stack.postgres) if each]
    assert len(pids) == 2
    with LocalStack(folder, environ=os.environ, say=quiet):
        assert read_environment(folder) == first
        assert take_one(first["AMQP_URL"]) == b"kept"
        assert committed_row(first["DATABASE_URL"]) == 7
    with pytest.raises(StateError, match="no local stack runs"):
        read_environment(folder)


OURS = [
    "state.json", "running.json", "processes.json", "lock", "data/rabbitmq/.erlang.cookie",
    "data/rabbitmq/rabbitmq.conf", "data/rabbitmq/definitions.json", "data/rabbitmq/enabled_plugins",
    "data/rabbitmq/inetrc", "data/postgres/postmaster.pid",
]  # fmt: skip


def test_a_power_cut_that_empties_our_small_files_loses_no_data(folder: Path) -> None:
    """Ports, passwords and names are found again or made anew; and while it runs, nobody else reads any of them."""
    with LocalStack(folder, environ=os.environ, say=quiet):
        first = read_environment(folder)
        publish_one(first["AMQP_URL"])
        commit_row(first["DATABASE_URL"])
        shut = [folder / "logs", folder / "data" / "rabbitmq", folder / "data" / "postgres"]
        files = [path for path in (*folder.iterdir(), *(folder / "logs").iterdir()) if path.is_file()]
        assert [path for path in (*files, *shut) if path.stat().st_mode & 0o077] == []
    for name in OURS:
        (folder / name).write_bytes(b"")
    with LocalStack(folder, environ=os.environ, say=quiet):
        second = read_environment(folder)
        assert second != first
        assert take_one(second["AMQP_URL"]) == b"kept"
        assert committed_row(second["DATABASE_URL"]) == 7


def test_a_killed_owner_takes_its_servers_along(folder: Path) -> None:
    """Servers whose owner dies of SIGKILL end by themselves."""
    owner, left = own_up(folder, "amqp://elsewhere")
    owner.kill()
    owner.wait()
    for each in left:
        await_ended(each)


def test_leftovers_of_a_killed_owner_are_cleaned_and_data_kept(folder: Path) -> None:
    """A start on a killed owner's folder ends what still runs there and serves the committed data."""
    owner, left = own_up(folder, "amqp://elsewhere")
    commit_row(read_environment(folder)["DATABASE_URL"])
    for each in left:
        os.kill(each.pid, signal.SIGSTOP)  # deaf to the news of its owner's death
    owner.kill()
    owner.wait()
    assert all(each.is_running() for each in left)
    said: list[str] = []
    with LocalStack(folder, amqp_url="amqp://elsewhere", environ=os.environ, say=said.append) as stack:
        assert not any(each.is_running() for each in left)
        assert stack.postgres is not None
        assert committed_row(stack.postgres.url) == 7
    assert any("left over" in line for line in said)


def test_a_second_owner_is_refused(folder: Path) -> None:
    """One state folder serves one owner at a time; the refusal names the first one's process."""
    with (
        LocalStack(folder, amqp_url="amqp://elsewhere", environ=os.environ, say=quiet),
        pytest.raises(StateError, match=f"already runs on .*process {os.getpid()}"),
    ):
        LocalStack(folder, environ=os.environ, say=quiet).start()


def test_given_urls_start_nothing(folder: Path) -> None:
    """With both URLs given no server is started, and the URLs are handed through."""
    stack = LocalStack(folder, amqp_url="amqp://a", database_url="postgresql://b", environ={}, say=quiet)
    assert stack.start() == StackUrls("amqp://a", "postgresql://b")
    assert (stack.rabbit, stack.postgres, (folder / "data").exists()) == (None, None, False)
    stack.state.publish(ingest_url="http://c")
    assert read_environment(folder) == {
        "AMQP_URL": "amqp://a",
        "DATABASE_URL": "postgresql://b",
        "INGEST_URL": "http://c",
    }
    stack.stop()


def test_servers_survive_being_killed() -> None:
    """After a power cut of both servers a start brings back what was confirmed and committed."""
    with private_stack(fresh_folder("chef-ingest-killed-")) as stack:
        assert stack.rabbit is not None
        assert stack.postgres is not None
        publish_one(stack.rabbit.url)
        commit_row(stack.postgres.url)
        stack.rabbit.sync()
        stack.rabbit.kill()
        stack.postgres.kill()
        stack.rabbit.start()
        stack.postgres.start()
        assert take_one(stack.rabbit.url) == b"kept"
        assert committed_row(stack.postgres.url) == 7


def test_nothing_listens_beyond_loopback(servers: LocalStack) -> None:
    """Every listening socket of the private servers is bound to loopback."""
    assert servers.rabbit is not None
    ports = {servers.state.port_kept(name) for name in ("amqp", "distribution", "epmd", "postgres")}
    bound = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            if fields[3] == "0A" and int(port, 16) in ports:  # LISTEN
                bound.setdefault(int(port, 16), set()).add(address)
    loopback = {"0100007F", "00000000000000000000000001000000"}
    assert bound.keys() == ports
    assert set().union(*bound.values()) <= loopback


def test_each_test_gets_an_empty_vhost(amqp_url: str, servers: LocalStack) -> None:
    """The vhost handed to a test holds no queue and is not the stack's own."""
    assert servers.rabbit is not None
    assert amqp_url != servers.rabbit.url
    vhost = amqp_url.rsplit("/", 1)[1]
    assert servers.rabbit.ctl("--quiet", "list_queues", "--vhost", vhost, "name", "--no-table-headers").strip() == ""
