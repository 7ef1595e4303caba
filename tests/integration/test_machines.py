"""All machines seen and told from one: what supervisors write down, what is paused, what is asked from elsewhere."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from operate_support import Consumers, command, consuming, declared, environment, flood, stored, until

from schemas.topology import ACTIONS, RUNS

HOST = socket.gethostname()


def seen(env: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("status", "--output", "json", env=env).stdout)
    return found


def states(consumers: Consumers) -> set[str]:
    return {row["state"] for row in consumers.status().get("workers", [])}


@pytest.fixture
def two(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[tuple[list[dict[str, str]], list[Consumers]]]:
    """Two supervisors of one database, each in a folder of its own, with a worker each."""
    declared(amqp_url)
    envs = [environment(amqp_url, database_url, tmp_path / name) for name in ("first", "second")]
    with ExitStack() as stack:
        yield envs, [stack.enter_context(consuming(env, "-n", "1", "--metrics", "127.0.0.1:0")) for env in envs]


def test_all_machines_are_seen_paused_and_scaled_from_one(
    two: tuple[list[dict[str, str]], list[Consumers]], amqp_url: str, database_url: str
) -> None:
    """From the first one's shell: both are in `status`; what is paused waits, whoever is started meanwhile, and comes
    in once it is resumed; the second one scales; killed it is said to be gone until it is forgotten."""
    (env, _), (first, second) = two
    until(lambda: "2 workers consume under 2 supervisors" in command("status", env=env).stdout, "both have told")

    # Paused: nothing is taken, by workers that come later neither.
    assert command("pause", "all", env=env).returncode == 2, "nobody pauses without a reason"
    assert command("pause", "ingest.pings", "--why", "x", env=env).returncode == 2
    paused = command("pause", "all", "--why", "a new disk", "--as", "ann", env=env)
    assert paused.returncode == 0
    assert "every queue is paused by ann: a new disk\n" in paused.stderr
    assert "as before: every queue is paused by ann" in command("pause", "all", "--why", "y", env=env).stderr
    until(lambda: states(first) | states(second) == {"resting"}, "all rest")
    flood(amqp_url, 5)
    refused = command("scale", "2", "--host", HOST, env=env)
    assert refused.returncode == 1
    assert "several supervisors run on" in refused.stderr
    scaled = command("scale", "2", "--host", f"{HOST}:{second.state.resolve()}", "--output", "json", env=env)
    assert json.loads(scaled.stdout) == [{"workers": 2, "before": 1, "auto": ""}], scaled.stderr
    until(lambda: len(second.status()["workers"]) == 3 and states(second) == {"resting"}, "the new one rests too")
    found = seen(env)
    assert found["queues"][ACTIONS] == {"ready": 5, "consumers": 0}
    assert not found["blocked"], "what is paused is not blocked"
    assert "paused: every queue everywhere" in command("status", env=env).stdout
    doctor = json.loads(command("doctor", "--output", "json", env=env).stdout)
    assert [row["remedy"] for row in doctor if row["check"] == "pauses"] == ["chef-ingest resume all"]
    until(lambda: first.scrape()[f'chef_ingest_queue_paused{{queue="{ACTIONS}"}}'] == 1, "metrics say so")
    assert first.scrape()['chef_ingest_supervisors{state="heard"}'] == 2
    assert first.scrape()['chef_ingest_nodes{status="aborted"}'] == 0
    assert stored(database_url) == []

    # A queue of a machine, while all is paused: what is left is said.
    assert command("pause", RUNS, "--host", HOST, "--why", "z", env=env).returncode == 0
    assert "was not paused" in (none := command("resume", ACTIONS, env=env)).stderr
    assert none.returncode == 1
    resumed = command("resume", "all", env=env)
    assert resumed.returncode == 0
    assert "no more: every queue is paused by ann" in resumed.stderr
    assert f"still: queue {RUNS} is paused on {HOST}" in resumed.stderr
    until(lambda: len(stored(database_url)) == 5, "all that waited is stored")
    until(lambda: seen(env)["queues"][RUNS]["consumers"] == 0, "runs are held back alone")
    until(lambda: states(first) == {"consuming"}, "its worker says so at its next report")
    until(lambda: sum(each or 0 for each in seen(env)["trend"]["messages"]) == 5, "the last hour tells of them, once")
    assert command("resume", RUNS, "--host", HOST, env=env).returncode == 0
    until(lambda: seen(env)["queues"][RUNS]["consumers"] == 3, "as before")

    # Gone: said aloud, and forgotten only then.
    assert command("machines", "forget", HOST, env=env).returncode == 1
    os.kill(second.process.pid, signal.SIGKILL)
    second.process.wait()
    with psycopg.connect(database_url, autocommit=True) as connection:
        told = "UPDATE supervisors SET heard_at = now() - interval '1 hour' WHERE folder = %s"
        connection.execute(told, [str(second.state.resolve())])
    gone = command("status", env=env)
    assert gone.returncode == 1
    assert "has not been heard of for" in gone.stdout
    listed = json.loads(command("machines", "list", "--output", "json", env=env).stdout)
    assert [row["stale"] for row in sorted(listed, key=lambda row: row["folder"])] == [False, True]
    assert "can't be asked" in command("scale", "1", "--host", f"{HOST}:{second.state.resolve()}", env=env).stderr
    assert command("machines", "forget", HOST, env=env).returncode == 0
    assert [each["folder"] for each in seen(env)["machines"]] == [str(first.state.resolve())]


def test_what_workers_elsewhere_hold_is_in_flight(
    two: tuple[list[dict[str, str]], list[Consumers]], database_url: str
) -> None:
    """`audit` counts what supervisors of other machines have written down, and a supervisor that ends in order leaves
    no row."""
    (env, _), (_, second) = two
    row = {"workers": [{"lane": "main", "state": "consuming", "in_hand": 3}], "rate": 0}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO supervisors (host, folder, said) VALUES ('elsewhere', '/run', %s)", [json.dumps(row)]
        )
        connection.execute("INSERT INTO acknowledgements (door, outcome, count) VALUES ('http', 'confirmed', 3)")
        shown = command("audit", env=env)
        assert "closed: every acknowledged message is accounted for, if the 3 in flight" in shown.stderr
        second.stop()
        count = "SELECT count(*) FROM supervisors WHERE folder = %s"
        assert connection.execute(count, [str(second.state.resolve())]).fetchone() == (0,)
