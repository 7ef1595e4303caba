"""What worked a moment ago is waited for: exit 78 is for what a person must change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from operate_support import Consumers, actions, declared, environment, publishing
from worker_support import Place

from consumers.broker.connection import connect
from consumers.errors import BrokerUnavailable
from ingest.local.stack import LocalStack
from ingest.soak.system import until


def count(url: str, table: str = "actions") -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else -1


def execute(url: str, *texts: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for text in texts:
            connection.execute(text.encode())


@pytest.fixture
def account(database_url: str) -> Iterator[str]:
    """A role that reads and writes our tables, and owns nothing."""
    name = f"rotating_{uuid.uuid4().hex[:10]}"
    execute(
        database_url,
        f"CREATE ROLE {name} LOGIN PASSWORD 'old'",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
    )
    yield name
    execute(database_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_rotated_password_is_waited_for_and_read_from_its_file(
    amqp_url: str, database_url: str, account: str, tmp_path: Path
) -> None:
    """The server has the new one first: nobody ends, all say what they wait for, and go on once the file has it."""
    declared(amqp_url)
    place = urlsplit(database_url).netloc.rpartition("@")[2]
    secret = tmp_path / "database_url"

    def write(password: str) -> None:
        secret.write_text(urlsplit(database_url)._replace(netloc=f"{account}:{password}@{place}").geturl())

    write("old")
    env = environment(amqp_url, database_url, tmp_path, consumers=1)
    del env["DATABASE_URL"]
    consumers = Consumers(env | {"DATABASE_URL_FILE": str(secret)})
    try:
        with publishing(amqp_url) as sender:
            sender.publish(actions(1)[0])
            until(lambda: count(database_url) == 1, "the first is stored")
            execute(
                database_url,
                f"ALTER ROLE {account} PASSWORD 'new'",
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{account}'",
            )
            sender.publish(actions(1)[0])
            until(lambda: consumers.events("commits paused") or consumers.events("waiting"), "it is said")
            until(lambda: "password authentication failed" in json.dumps(consumers.log), "and why")
            assert consumers.process.poll() is None
            write("new")
            until(lambda: count(database_url) == 2, "the second is stored")
        assert not consumers.events("stopped: configuration")
        assert not consumers.events("worker died")
    finally:
        assert consumers.stop() == 0
    assert count(database_url, "dead_letters") == 0


def test_a_table_that_has_changed_since_it_was_prepared_for_is_no_fault_of_a_row(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """A plan made stale by a changed type (0A000) is made anew: nothing dies, nothing becomes a letter."""
    place = Place(amqp_url, database_url, tmp_path)
    consumers = Consumers(environment(amqp_url, database_url, tmp_path, consumers=1))

    def publish() -> None:
        # Twice, so that it is no new one: it goes the way of all batches, and its run is looked up.
        body = json.dumps(actions(1)[0] | {"remote_request_id": str(uuid.uuid4())}).encode()
        place.publish([body, body], "actions", "erchef.node.update")

    try:
        for number in range(1, 12):
            if number == 9:
                execute(database_url, "ALTER TABLE runs ALTER COLUMN organization TYPE varchar(900)")
            publish()
            until(lambda wanted=number: count(database_url) == wanted, "each is stored")  # type: ignore[misc]
        assert not consumers.events("worker died")
        assert "cached plan" in json.dumps(consumers.events("commits paused")), "it has happened"
    finally:
        assert consumers.stop() == 0
    assert count(database_url, "dead_letters") == 0


def test_a_limit_that_is_reached_is_an_outage(amqp_url: str, servers: LocalStack) -> None:
    """The broker refuses by the same 530 a vhost that is not there, which waiting won't mend."""
    assert servers.rabbit is not None
    vhost = urlsplit(amqp_url).path[1:]
    servers.rabbit.ctl("set_vhost_limits", "-p", vhost, '{"max-connections": 0}')
    try:
        with pytest.raises(BrokerUnavailable, match="limit"):
            connect(amqp_url, heartbeat=30, name="test")
    finally:
        servers.rabbit.ctl("clear_vhost_limits", "-p", vhost)
    connect(amqp_url, heartbeat=30, name="test").close()
