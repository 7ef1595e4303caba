"""What an operator sees: metrics, status, doctor and audit of a real system, healthy and broken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pika
import psycopg
import pytest
from http_support import broker_channel, serving
from operate_support import Consumers, actions, command, consuming, declared, environment, publishing, scrape

from ingest.soak.system import until
from schemas.topology import ACTIONS
from tests.patience import LONG


@pytest.fixture
def env(amqp_url: str, database_url: str, tmp_path: Path) -> dict[str, str]:
    declared(amqp_url)
    return environment(amqp_url, database_url, tmp_path / "state")


@pytest.fixture
def consumers(env: dict[str, str]) -> Iterator[Consumers]:
    with consuming(env, "-n", "1", "--metrics", "127.0.0.1:0") as running:
        yield running


def rows_of(output: str) -> list[dict[str, str]]:
    return list(json.loads(output))


def test_the_supervisor_sums_what_its_workers_did(
    consumers: Consumers, env: dict[str, str], amqp_url: str, database_url: str
) -> None:
    """Each message is counted once, by its outcome; ages, batches, letters and consumers are there as well."""
    sent = actions(3)
    other = sent[0] | {"entity_name": "another"}
    with publishing(amqp_url) as sender:
        for action in (*sent, sent[1], other, {"id": "no"}):
            sender.publish(action, timestamp=int(time.time()) - 40)
    with broker_channel(amqp_url) as channel:
        broken = {"type": "action", "reply_to": "amq.rabbitmq.reply-to.broken", "correlation_id": "c"}
        channel.basic_publish("ingest", "action", json.dumps(sent[1]).encode(), pika.BasicProperties(**broken))

    def outcomes() -> dict[str, float]:
        found = consumers.scrape()
        names = ("stored", "duplicate", "during_run", "conflict", "dead")
        return {name: found[f'chef_ingest_messages_total{{outcome="{name}"}}'] for name in names}

    expected = {"stored": 3, "duplicate": 2, "during_run": 0, "conflict": 1, "dead": 1}
    until(lambda: outcomes() == expected, f"all are counted {expected}")
    found = consumers.scrape()
    assert found["chef_ingest_batch_messages_sum"] == 7
    assert found["chef_ingest_message_age_seconds_count"] == 6
    dropped = 'chef_ingest_answers_dropped_total{reason="address"}'
    until(lambda: consumers.scrape()[dropped] == 1, "an answer that had no address is counted")
    assert found['chef_ingest_message_age_seconds_bucket{le="30.0"}'] == 0
    assert time.time() - found["chef_ingest_last_commit_timestamp_seconds"] < 60
    flushed = [value for name, value in found.items() if name.startswith("chef_ingest_batch_flush_seconds_count{")]
    assert sum(flushed) == found["chef_ingest_batch_messages_count"]
    until(lambda: consumers.scrape().get(f'chef_ingest_consumers{{queue="{ACTIONS}"}}') == 1, "the consumer is seen")
    until(lambda: consumers.scrape().get('chef_ingest_letters{state="open"}') == 2, "the letters are seen")
    until(lambda: consumers.scrape()['chef_ingest_workers{lane="main",state="consuming"}'] == 1, "it consumes")
    shown = command("status", env=env)
    assert shown.returncode == 0, shown.stderr + shown.stdout
    assert "stored 3" in shown.stdout
    assert "2 open" in shown.stdout
    everything = json.loads(command("status", "--output", "json", env=env).stdout)
    assert everything["seconds_to_drain"] == 0
    assert {cause["reason"] for cause in everything["causes"]} >= {"conflict"}


def test_the_ledger_of_shim_and_workers_closes(
    consumers: Consumers, env: dict[str, str], amqp_url: str, database_url: str
) -> None:
    """Acknowledged = stored + duplicates + letters, counted by the shim and found in the tables; a deleted row is a
    named gap and exit 1."""
    with serving(amqp_url, database_url) as shim:
        for action in (*(sent := actions(5)), sent[0]):
            assert shim.http.post("/messages", json=action).status_code == 201
        assert shim.http.post("/messages", json={}).status_code == 400
        assert shim.http.get("/nothing").status_code == 404
        found = scrape(f"{shim.url}/metrics")
        assert found['chef_ingest_http_requests_total{code="201",route="/messages"}'] == 6
        assert found['chef_ingest_http_requests_total{code="404",route="none"}'] == 1
        assert found['chef_ingest_published_total{result="confirmed"}'] == 7
        assert found["chef_ingest_publish_confirm_seconds_count"] == 7
        assert found["chef_ingest_broker_connected"] == 1
        assert found["chef_ingest_connection_blocked"] == 0
        assert found["chef_ingest_outstanding_messages"] == 0
    closed = command("audit", "--output", "json", env=env)
    assert "closed: every acknowledged message" in closed.stderr
    hours = json.loads(closed.stdout)
    assert sum(hour["acknowledged"] for hour in hours) == 7
    assert sum(hour["stored"] for hour in hours) == 5
    assert sum(hour["duplicates"] for hour in hours) == 1
    assert sum(hour["letters"] for hour in hours) == 1
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM actions WHERE id = %s", [sent[0]["id"]])
    gap = command("audit", env=env)
    assert gap.returncode == 1
    assert "missing: 1 acknowledged messages" in gap.stderr


def test_actions_that_came_before_their_run_are_counted_in_the_ledger_and_on_the_metrics(
    env: dict[str, str], database_url: str
) -> None:
    """By a worker, of an hour that is past; of one that has not begun it is not known. A worker before has counted up
    to the first of them, so that this holds where an hour ends in the meantime."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    past, to_come = hour - timedelta(hours=1), hour + timedelta(hours=1)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO late_runs VALUES (%s, %s, 0, 0)", [past, past])
        for at in (past, to_come):
            run = str(uuid.uuid4())
            known = "INSERT INTO runs (run_id, organization, node_name, start_time, stored_at)"
            connection.execute(f"{known} VALUES (%s, 'acme', 'web01', %s, %s)".encode(), [run, at, at])
            for task in ("create", "update", "update"):
                early = (
                    "INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task,"
                    " requestor_type, requestor_name, remote_hostname, remote_request_id, request_id, service_hostname,"
                    " user_agent, message_type, stored_at) VALUES (gen_random_uuid(), %s, 'acme', 'node', 'web01',"
                    " %s, 'client', 'web01', '', %s, '', '', '', 'action', %s)"
                )
                connection.execute(early.encode(), [at, task, run, at])
    with consuming(env, "-n", "1", "--metrics", "127.0.0.1:0") as consumers:

        def late(reason: str) -> float | None:
            return consumers.scrape().get(f'chef_ingest_late_run_actions_total{{reason="{reason}"}}')

        until(lambda: late("overtaking") == 2, "the last hour's are counted")
        assert late("registering") == 1
        first, last = rows_of(command("audit", "--output", "json", env=env).stdout)
        assert (first["stored"], first["late_run"], first["registering"]) == (4, 3, 1)
        assert (last["stored"], last["late_run"], last["registering"]) == (4, None, None)
        assert "registering" in command("audit", env=env).stdout


def test_chef_servers_messages_are_in_the_ledger(
    consumers: Consumers, env: dict[str, str], amqp_url: str, database_url: str
) -> None:
    """What a Chef server publishes past the shim is counted when a worker takes it, so that the ledger closes."""
    with broker_channel(amqp_url) as channel:
        channel.confirm_delivery()
        for action in actions(2):
            channel.basic_publish("actions", "erchef.node.update", json.dumps(action).encode())
    until(lambda: "stored" in consumers.status()["totals"], "they are stored")
    until(lambda: consumers.status()["totals"].get("stored") == 2, "both are stored")
    found = command("audit", env=env)
    assert "closed" in found.stderr, found.stdout + found.stderr


def test_status_says_what_is_not_there(env: dict[str, str], amqp_url: str) -> None:
    """Without workers, `status` names the queue that nobody consumes and the supervisor that does not answer."""
    with publishing(amqp_url) as sender:
        sender.publish(actions(1)[0])
    until(lambda: json.loads(command("status", "--output", "json", env=env).stdout)["backlog"] == 1, "it is queued")
    shown = command("status", env=env)
    assert shown.returncode == 1
    assert f"queue {ACTIONS} has 1 messages and no consumer" in shown.stdout
    assert "not seen: supervisor: no supervisor answers" in shown.stdout


def test_a_paused_worker_says_why(env: dict[str, str], consumers: Consumers, amqp_url: str, database_url: str) -> None:
    """While the database refuses writes, the worker is paused, `status` says why, and the errors are counted."""
    name = urllib.parse.urlsplit(database_url).path[1:]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        with publishing(amqp_url) as sender:
            sender.publish(actions(1)[0])
        until(lambda: consumers.scrape()['chef_ingest_paused{reason="database"}'] == 1, "it is paused")
        # The first words are those of the closed connection.
        shown = until(lambda: (found := command("status", env=env)).stdout.count("read-only") and found, "it says why")
        assert shown.returncode == 1
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
    until(lambda: consumers.scrape()['chef_ingest_messages_total{outcome="stored"}'] == 1, "it is stored after all")
    classes = [name for name in consumers.scrape() if name.startswith("chef_ingest_database_errors_total{")]
    assert any('"25"' in name for name in classes)


def test_the_doctor_finds_a_healthy_stack_healthy(env: dict[str, str], consumers: Consumers) -> None:
    """Exit 0 and no finding that is a warning or worse."""
    assert command("partitions", "create", env=env).returncode == 0
    found = command("doctor", "--output", "json", env=env)
    bad = [row for row in rows_of(found.stdout) if row["level"] in ("warning", "broken")]
    assert found.returncode == 0, bad
    checks = {row["check"] for row in rows_of(found.stdout)}
    assert checks >= {"broker version", "topology", "queue arguments", "alarms", "schema", "rights", "clock"}
    assert "message size" in checks


def test_the_doctor_compares_what_doors_take_with_what_the_broker_takes(env: dict[str, str]) -> None:
    """A door's limit beyond the broker's own is a warning that names both, and the way out."""
    found = command("doctor", "--output", "json", env=env | {"INGEST_AMQP_MAX_MESSAGE_BYTES": "3000000"})
    (row,) = (row for row in rows_of(found.stdout) if row["check"] == "message size")
    said = "INGEST_COLLECTOR_MAX_BODY_BYTES: INGEST_AMQP_MAX_MESSAGE_BYTES takes no message over 3000000 bytes"
    assert (row["level"], row["finding"].partition(";")[0]) == ("warning", said)
    assert "max_message_size" in row["remedy"]


def test_the_doctor_names_what_is_broken_and_the_remedy(
    env: dict[str, str], amqp_url: str, empty_database_url: str
) -> None:
    """A queue with other arguments, a missing one and a missing schema are each found, with a remedy; exit 1; and
    the doctor has made nothing."""
    with broker_channel(amqp_url) as channel:
        channel.queue_delete(ACTIONS)
        channel.queue_declare(ACTIONS, durable=True)
        channel.queue_delete("ingest.quarantine")
    broken = env | {"DATABASE_URL": empty_database_url}
    found = command("doctor", "--output", "json", env=broken)
    assert found.returncode == 1
    bad = {row["check"]: row for row in rows_of(found.stdout) if row["level"] == "broken"}
    assert "x-queue-type" in bad["queue arguments"]["finding"] or "type" in bad["queue arguments"]["finding"]
    assert "ingest.quarantine" in bad["topology"]["finding"]
    assert bad["schema"]["remedy"] == "chef-ingest migrate"
    assert all(row["remedy"] for row in bad.values())
    with broker_channel(amqp_url) as channel, pytest.raises(Exception, match="NOT_FOUND"):
        channel.queue_declare("ingest.quarantine", passive=True)


def test_the_doctor_survives_dead_servers(tmp_path: Path) -> None:
    """With neither server there, both are named and the exit is 1."""
    env = environment("amqp://127.0.0.1:1/%2Fnone", "postgresql://127.0.0.1:1/none", tmp_path)
    found = command("doctor", "--output", "json", env=env)
    assert found.returncode == 1
    assert {row["check"] for row in rows_of(found.stdout) if row["level"] == "broken"} == {"broker", "database"}


def test_the_doctor_warns_of_what_costs_durability(
    env: dict[str, str], consumers: Consumers, database_url: str
) -> None:
    """synchronous_commit = off makes exit 2 and says what may be lost."""
    name = urllib.parse.urlsplit(database_url).path[1:]
    assert command("partitions", "create", env=env).returncode == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    found = command("doctor", env=env)
    assert found.returncode == 2
    assert "a 201 may be lost" in found.stdout


def test_watch_draws_again_until_interrupted(env: dict[str, str]) -> None:
    """`status --watch` draws picture after picture, and Ctrl-C ends it with exit 0."""
    argv = [sys.executable, "-m", "ingest", "status", "--watch"]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        drawn = 0
        while drawn < 2:
            drawn += watching.stdout.readline().startswith("queue ")
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait(LONG) == 0


def test_the_doctor_asks_whether_clients_report_where_nodes_save_themselves_in_runs_that_nobody_told_of(
    env: dict[str, str], database_url: str
) -> None:
    """A run that is known, another's node and a request id that is no run's id are none of them; nor is it asked of a
    system that keeps all actions."""

    def doctor(rule: str) -> str:
        return command("doctor", "--output", "json", env=env | {"INGEST_DURING_RUN": rule}).stdout

    told, untold = str(uuid.uuid4()), str(uuid.uuid4()).upper()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            b"INSERT INTO runs (run_id, organization, node_name, start_time) VALUES (%s, 'acme', 'web01', now())",
            [told],
        )
        for node, requestor, request, task, organization in (
            ("web01", "web01", told, "update", "acme"), ("web02", "web02", untold, "update", "acme"),
            ("web02", "web02", untold, "update", "acme"), ("web03", "rarity", untold, "update", "acme"),
            ("web04", "web04", "no id", "update", "acme"), ("web01", "acme-validator", told, "create", "acme"),
            ("web01", "web01", told, "update", "umbrella"),
        ):  # fmt: skip
            connection.execute(
                b"INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task,"
                b" requestor_type, requestor_name, remote_hostname, remote_request_id, request_id, service_hostname,"
                b" user_agent, message_type, message_version) VALUES (gen_random_uuid(), now(), %s, 'node', %s,"
                b" %s, 'client', %s, '', %s, '', '', '', 'action', '0.1.1')",
                [organization, node, task, requestor, request],
            )
    (finding,) = (row["finding"] for row in rows_of(doctor("run_id")) if row["check"] == "runs")
    assert finding.startswith("2 self node updates of the last day, by 1 node, 'web02' for one,")
    (early,) = (row["finding"] for row in rows_of(doctor("both")) if row["check"] == "actions before their run")
    assert early.startswith("2 of the last day's actions"), early
    assert early.endswith("1 by which a node registered, 1 that overtook their start"), early
    checks = {row["check"] for rule in ("off", "self_node_update") for row in rows_of(doctor(rule))}
    assert "actions before their run" not in checks
    assert not [row for row in rows_of(doctor("off")) if row["check"] == "runs"]
