"""The supervisor through signals to real processes, with real servers behind them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from operate_support import (
    Consumers,
    Publisher,
    actions,
    command,
    consuming,
    declared,
    environment,
    flood,
    load,
    nothing_lost,
    publishing,
    stored,
    until,
)

from consumers.supervisor.control import ask
from ingest.soak.ports import free_port
from tests.patience import LONG
from tests.servers import Databases, VhostPool


@pytest.fixture
def env(amqp_url: str, database_url: str, tmp_path: Path) -> dict[str, str]:
    declared(amqp_url)
    return environment(amqp_url, database_url, tmp_path / "state")


def test_scaling_under_load_loses_nothing(env: dict[str, str], amqp_url: str, database_url: str) -> None:
    """From 1 to 4 to 2 workers, by signals and by `scale`, under load: everything sent is stored once."""
    with consuming(env, "-n", "1") as consumers, load(amqp_url) as sender:
        for workers in (2, 3, 4):
            consumers.send(signal.SIGTTIN)
            until(lambda workers=workers: consumers.status()["wanted"] == workers, "one more is wanted")
        consumers.settled(4)
        consumers.send(signal.SIGTTOU)
        consumers.settled(3)
        assert command("scale", "-1", env=env).returncode == 0
        consumers.settled(2)
        refused = command("scale", "0", env=env)
        assert refused.returncode == 1
        assert "stop the supervisor" in refused.stderr
    nothing_lost_after_stop(env, database_url, sender.sent)


def nothing_lost_after_stop(env: dict[str, str], database_url: str, sent: set[str]) -> None:
    with consuming(env, "-n", "1"):
        nothing_lost(database_url, sent)


def test_each_batch_leaves_one_line_and_no_body(env: dict[str, str], amqp_url: str, database_url: str) -> None:
    """The lines of all batches add up to what was sent; nothing of a message's content is in the log."""
    publisher = Publisher(amqp_url)
    for action in actions(30):
        publisher.publish(action | {"data": {"note": "only for the table"}})
    with consuming(env, "-n", "1") as consumers:
        nothing_lost(database_url, publisher.sent)
        until(lambda: sum(each["stored"] for each in consumers.events("batch committed")) == 30, "the lines")
    lines = consumers.events("batch committed")
    assert all(line.keys() >= {"messages", "bytes", "trigger", "seconds"} for line in lines)
    assert sum(line["messages"] for line in lines) == 30
    assert "only for the table" not in str(consumers.log)
    assert not any(each in str(consumers.log) for each in publisher.sent)


def test_hangup_rolls_every_worker_and_loses_nothing(env: dict[str, str], amqp_url: str, database_url: str) -> None:
    """After HUP no worker of before is left, there was never none, and everything sent is stored once."""
    with consuming(env, "-n", "2", workers=2) as consumers:
        with load(amqp_url) as sender:
            before = {*consumers.pids(), *consumers.pids("quarantine")}
            assert len(before) == 3
            consumers.send(signal.SIGHUP)
            fewest = 9
            deadline = time.monotonic() + 30
            while not consumers.events("workers rolled") and time.monotonic() < deadline:
                fewest = min(fewest, len(consumers.pids()))
                time.sleep(0.1)
            assert fewest >= 2
            after = {*consumers.settled(2), *consumers.pids("quarantine")}
            assert not before & after
        nothing_lost(database_url, sender.sent)


def test_a_faulty_configuration_is_not_reloaded(env: dict[str, str], tmp_path: Path) -> None:
    """HUP with a faulty file says what is wrong and leaves the workers alone; with a right one it is heeded. One that
    says nothing asks for one worker."""
    file = tmp_path / "ingest.toml"
    file.write_text("")
    with consuming(env | {"INGEST_CONFIG": str(file)}, workers=1) as consumers:
        before = consumers.pids()
        file.write_text("consumers = 'many'\n")
        consumers.send(signal.SIGHUP)
        (refused,) = until(lambda: consumers.events("not reloaded"), "the fault is named")
        assert "INGEST_CONSUMERS" in refused["faults"][0]
        assert consumers.pids() == before
        assert "INGEST_CONSUMERS" in consumers.status()["not_reloaded"][0]
        assert "not reloaded: INGEST_CONSUMERS" in command("status", env=env).stdout
        file.write_text("consumers = 2\n")
        consumers.send(signal.SIGHUP)
        until(lambda: consumers.events("workers rolled"), "the workers are rolled")
        assert not set(consumers.settled(2)) & set(before)
        assert consumers.status()["not_reloaded"] == []


@pytest.fixture(scope="module")
def idle(
    vhost_pool: VhostPool, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Consumers, dict[str, str]]]:
    """A supervisor with nothing to do, for tests that leave it as it was; and its environment."""
    amqp_url, database_url = vhost_pool.take(), databases.create(migrated=True)
    declared(amqp_url)
    env = environment(amqp_url, database_url, tmp_path_factory.mktemp("idle"))
    with consuming(env, "-n", "1", "--metrics", "127.0.0.1:0") as consumers:
        yield consumers, env
    databases.drop(database_url)
    vhost_pool.give_back(amqp_url)


Idle = tuple[Consumers, dict[str, str]]


def test_a_frozen_worker_is_silent_and_a_dead_one_is_replaced(idle: Idle) -> None:
    """A worker that is stopped is not said to consume; killed from outside it is replaced, and its death counted, with
    how it came."""
    consumers, env = idle
    (victim,) = consumers.settled(1)
    os.kill(victim, signal.SIGSTOP)
    until(lambda: consumers.status()["workers"][0]["state"] == "silent", "it is silent", 60)
    shown = command("status", env=env)
    assert shown.returncode == 1
    assert f"worker {victim} silent: not heard of for" in shown.stdout
    assert consumers.scrape()['chef_ingest_workers{lane="main",state="silent"}'] == 1
    os.kill(victim, signal.SIGKILL)
    until(lambda: consumers.pids() and victim not in consumers.pids(), "another one consumes")
    assert consumers.scrape()['chef_ingest_worker_deaths_total{cause="killed",lane="main"}'] == 1
    assert "SIGKILL" in consumers.status()["last_death"]["why"]


def test_a_frozen_supervisor_is_there_and_does_not_answer(idle: Idle) -> None:
    """Nobody is told to start a second one; the process is named, and what lets it go on."""
    consumers, env = idle
    consumers.send(signal.SIGSTOP)
    try:
        shown = until(lambda: (done := command("status", env=env)).stdout.count("kill -CONT") and done, "it is told")
    finally:
        consumers.send(signal.SIGCONT)
    assert shown.returncode == 1
    told = f"a supervisor is there, and does not answer (process {consumers.process.pid},"
    assert told in shown.stdout
    assert "start one" not in shown.stdout
    consumers.settled(1)


def test_term_drains_and_quit_hurries(env: dict[str, str], amqp_url: str, database_url: str) -> None:
    """TERM commits what was received; QUIT gives it back: after either, stored and queued make up what was sent."""
    with publishing(amqp_url) as sender:
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
            consumers = Consumers(env, "-n", "1")
            consumers.settled(1)
            for action in actions(300):
                sender.publish(action)
            assert consumers.stop(number) == 0
    nothing_lost_after_stop(env, database_url, sender.sent)


def test_a_second_term_hurries(env: dict[str, str], database_url: str, amqp_url: str) -> None:
    """A drain that the database holds up is cut short by a second TERM, and nothing is lost."""
    import psycopg

    with psycopg.connect(database_url) as blocker, publishing(amqp_url) as sender:
        consumers = Consumers(env | {"INGEST_LOCK_TIMEOUT_SECONDS": "1"}, "-n", "1")
        consumers.settled(1)
        blocker.execute("LOCK TABLE action_ids IN ACCESS EXCLUSIVE MODE")
        for action in actions(5):
            sender.publish(action)
        paused = until(
            lambda: [row for row in consumers.status()["workers"] if row["state"] == "paused"], "commits are paused"
        )
        assert "lock" in paused[0]["why"]
        consumers.send(signal.SIGTERM)
        until(lambda: consumers.events("draining"), "it drains")
        assert consumers.stop(signal.SIGTERM) == 0
        assert consumers.events("hurrying")
    assert stored(database_url) == []
    nothing_lost_after_stop(env, database_url, sender.sent)


@pytest.mark.parametrize("log", ["2>&-", "2>/dev/full"])
def test_a_log_that_takes_nothing_stops_no_shim_supervisor_or_worker(
    env: dict[str, str], database_url: str, tmp_path: Path, log: str
) -> None:
    """Closed from the start or full: a POST is stored and answered, no process dies, and all end as they are told."""
    port = free_port()
    shell = env | {"X": f"{sys.executable} -m ingest", "INGEST_LISTEN": f"127.0.0.1:{port}"}
    running = [
        subprocess.Popen(["bash", "-c", f"exec $X {command} {log}"], env=shell) for command in ("serve", "consume -n 1")
    ]

    def posted() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 30) as sock:
                body = json.dumps(actions(1)[0]).encode()
                head = f"Host: h\r\nPrefer: wait=20\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                sock.sendall(b"POST /messages HTTP/1.1\r\n" + head.encode() + body)
                return sock.makefile("rb").readline().startswith(b"HTTP/1.1 201")
        except OSError:
            return False

    try:
        until(posted, "a POST is stored")
        known = ask(tmp_path / "state", {"verb": "status"})["workers"]
        assert sorted(each["deaths"] for each in known) == [0] * len(known)
        descriptors = {each["pid"]: str(Path(f"/proc/{each['pid']}/fd/2").readlink()) for each in known}
        assert {"/dev/null" if log == "2>&-" else "/dev/full"} == set(descriptors.values())
    finally:
        for each in running:
            each.terminate()
        codes = [each.wait(LONG) for each in running]
    assert codes == [0, 0]


def test_usr2_dumps_the_state(idle: Idle) -> None:
    """USR2 logs what every worker is doing, as one event."""
    consumers, _ = idle
    consumers.send(signal.SIGUSR2)
    (dump,) = until(lambda: consumers.events("state"), "the state is logged")
    assert {row["lane"] for row in dump["workers"]} == {"main", "quarantine"}
    assert dump["wanted"] == 1


def test_two_supervisors_do_not_share_a_socket(idle: Idle) -> None:
    """A second supervisor on the same folder works on without a socket, and leaves the first one's alone."""
    first, env = idle
    second = Consumers(env, "-n", "1")
    until(lambda: second.events("no control socket"), "the second says so")
    until(lambda: second.events("consuming"), "the second works")
    assert second.stop() == 0
    assert first.status()["pid"] == first.process.pid


def test_a_missing_migration_stops_it_with_78(amqp_url: str, empty_database_url: str, tmp_path: Path) -> None:
    """A fault that a person has to mend stops the supervisor with exit 78, and the log names the remedy."""
    declared(amqp_url)
    consumers = Consumers(environment(amqp_url, empty_database_url, tmp_path), "-n", "1")
    assert consumers.process.wait(LONG) == 78
    assert consumers.stop() == 78
    assert "chef-ingest migrate" in consumers.events("stopped: configuration")[0]["why"]


def test_auto_adds_workers_for_a_backlog(env: dict[str, str], amqp_url: str) -> None:
    """`--auto` adds workers while the backlog of quorum queues would outlast the target, never beyond its band."""
    slow = env | {"INGEST_BATCH_MESSAGES": "1", "INGEST_DRAIN_TARGET_SECONDS": "1"}
    # More than two workers could drain before there has been a look at the database's connections.
    flood(amqp_url, 20000)
    consumers = Consumers(slow, "--auto", "1..3")
    try:
        # The backlog may be gone again, and the workers with it: what was done is in the log.
        until(lambda: any(each["workers"] > each["before"] for each in consumers.events("scaled")), "one is added")
        assert {each["workers"] for each in consumers.events("scaled")} <= {1, 2, 3}
        assert consumers.status()["auto"] == "1..3"
        assert command("scale", "1", env=slow).returncode == 0
        assert consumers.status()["auto"] == ""
    finally:
        assert consumers.stop(signal.SIGQUIT) == 0


def test_auto_leaves_the_database_its_connections(env: dict[str, str], amqp_url: str, database_url: str) -> None:
    """However long the backlog, no worker is added that the database has no connection for, and that is said once."""
    import psycopg

    # One worker begins; with the quarantine lane, the one that looks and two spare, two more fit.
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} CONNECTION LIMIT 7".encode())
    slow = env | {"INGEST_BATCH_MESSAGES": "1", "INGEST_DRAIN_TARGET_SECONDS": "1"}
    flood(amqp_url, 20000)
    consumers = Consumers(slow, "--auto", "1..6")
    try:
        (said,) = until(lambda: consumers.events("not scaled as wanted"), "the limit is reached")
        assert "connections" in said["why"]
        assert "max_connections" in said["remedy"]
        looks = time.monotonic() + 7
        while time.monotonic() < looks:
            assert consumers.status()["wanted"] <= 3
            time.sleep(0.5)
        assert len(consumers.events("not scaled as wanted")) == 1
        assert [event["workers"] for event in consumers.events("scaled")] == [2, 3]
    finally:
        assert consumers.stop(signal.SIGQUIT) == 0


def test_systemd_hears_ready_alive_and_stopping(env: dict[str, str], tmp_path: Path) -> None:
    """READY comes when a worker consumes, WATCHDOG while no worker hangs, STOPPING when told to stop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(LONG)
        heard: list[str] = []

        def hear(line: str) -> bool:
            while line not in heard:
                heard.extend(systemd.recv(4096).decode().splitlines())
            return True

        consumers = Consumers(env | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "8000000"}, "-n", "1")
        assert hear("READY=1")
        assert hear("WATCHDOG=1")
        consumers.send(signal.SIGHUP)
        assert hear("RELOADING=1")
        consumers.send(signal.SIGTERM)
        assert hear("STOPPING=1")
        assert consumers.stop() == 0


def test_metrics_are_shown_to_everybody_only_when_told_so(env: dict[str, str]) -> None:
    """With --insecure-no-auth, or the setting behind it, scrapes beyond loopback are answered."""
    with consuming(env, "-n", "1", "--metrics", "0.0.0.0:0", "--insecure-no-auth") as consumers:
        assert consumers.scrape()["chef_ingest_workers_wanted"] == 1
    accepted = env | {"INGEST_METRICS_LISTEN": "0.0.0.0:0", "INGEST_INSECURE_NO_AUTH": "true"}
    with consuming(accepted, "-n", "1") as consumers:
        assert consumers.scrape()["chef_ingest_workers_wanted"] == 1
