"""What becomes a dead letter, and how: with its reason, in its batch's transaction, and nobody taken along."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from worker_support import Place, action

from consumers.broker.connection import connect
from ingest.soak.system import until

POISON = b"the-message-that-kills"


@pytest.fixture
def place(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    return Place(amqp_url, database_url, tmp_path)


def test_three_rows_that_only_the_database_refuses_leave_the_other_497(place: Place) -> None:
    """One batch, three different refusals: 497 rows, 3 letters, each with its own reason and SQLSTATE."""
    place.rows("ALTER TABLE actions ADD CONSTRAINT no_zed CHECK (entity_name <> 'zed')")
    place.rows("ALTER TABLE actions ALTER COLUMN requestor_name TYPE varchar(50)")
    bodies = [action(entity_name=f"app{n}") for n in range(497)]
    bodies.insert(100, action(entity_name="zed"))
    bodies.insert(250, action(entity_name="nul\u0000nul"))
    bodies.insert(499, action(requestor_name="r" * 51))
    place.publish(bodies)
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM actions") == 497, "497 rows")
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 3, "3 letters")
    letters = place.rows("SELECT stage, reason, sqlstate, payload FROM dead_letters ORDER BY sqlstate")
    assert [row[:3] for row in letters] == [
        ("database", "refused", "22001"),
        ("database", "refused", "22021"),
        ("database", "refused", "23514"),
    ]
    assert [row[3] for row in letters] == [bodies[499], bodies[250], bodies[100]]
    assert place.one("SELECT count(DISTINCT fingerprint) FROM dead_letters") == 3


def test_a_letter_keeps_payload_and_envelope_to_the_byte(place: Place) -> None:
    """Compressed bytes, headers of every AMQP type, exchange and routing key: all as received."""
    body = gzip.compress(b'{"organization_name": 7}')
    headers = {"x-text": "t", "x-bytes": b"\xff\x00", "x-number": 2**40, "x-list": [1, None]}
    place.publish([body], "actions", "erchef.node.create", headers=headers, content_encoding="gzip", type="action")
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM dead_letters"), "a letter")
    row = place.rows(
        "SELECT payload, exchange, routing_key, door, content_encoding, properties, stage, attempts FROM dead_letters"
    )[0]
    assert row[:5] == (body, "actions", "erchef.node.create", "chef", "gzip")
    kept = row[5]["headers"]
    assert kept["x-bytes"] == {"!bytes": base64.b64encode(b"\xff\x00").decode()}
    assert (kept["x-number"], kept["x-list"]) == (2**40, [1, None])
    assert row[6:] == ("schema", 1)


def test_the_same_message_however_often_it_comes_is_one_letter_with_few_events(place: Place) -> None:
    """A client that repeats an invalid POST fills neither table."""
    body = action(task="no such task")
    place.publish([body] * 100)
    with place.consuming():
        until(lambda: place.one("SELECT coalesce(sum(attempts), 0) FROM dead_letters") == 100, "100 attempts")
    assert place.one("SELECT count(*) FROM dead_letters") == 1
    events = [row[0] for row in place.rows("SELECT what FROM dead_letter_events ORDER BY id")]
    assert events == ["opened"] + ["seen again"] * 6


@pytest.mark.parametrize(("reason", "limit"), [("expired", {"x-message-ttl": 1}), ("maxlen", {"x-max-length": 1})])
def test_what_the_broker_drops_is_a_letter_that_says_it_is_a_good_message(
    place: Place, reason: str, limit: dict[str, int]
) -> None:
    """Its exchange, routing key and door are the sender's, so that a replay goes where it came from."""
    # Our own queues refuse instead of dropping: somebody else's stands before them here.
    connection = connect(place.amqp_url, heartbeat=30, name="test")
    channel = connection.channel()
    channel.queue_declare("other", durable=True, arguments={"x-dead-letter-exchange": "ingest.dead"} | limit)
    channel.queue_bind("other", "actions", "erchef.#")
    channel.queue_unbind("ingest.actions", "actions", "erchef.#")
    connection.close()
    bodies = [action(entity_name="a"), action(entity_name="b")]
    place.publish(bodies if reason == "maxlen" else bodies[:1], "actions", "erchef.node.create")
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 1, "a letter")
    row = place.rows("SELECT stage, reason, exchange, routing_key, door, payload, details FROM dead_letters")[0]
    assert row[:6] == ("broker", reason, "actions", "erchef.node.create", "chef", bodies[0])
    assert "good message" in row[6]["message"]


def limit_deliveries(place: Place, servers: Any) -> None:
    """A delivery limit on the main queue, as RabbitMQ 4 has by default (20), and as cautious operators set."""
    vhost = place.amqp_url.rpartition("/")[2]
    servers.rabbit.ctl(
        "set_policy", "-p", vhost, "limit", "^ingest.actions$", '{"delivery-limit":3}', "--apply-to", "queues"
    )


def thousand_and_one() -> list[bytes]:
    bodies = [action(entity_name=f"app{n}") for n in range(1000)]
    bodies.insert(137, action(entity_name=POISON.decode()))
    return bodies


def settled(place: Place) -> tuple[int, int]:
    """Rows and letters."""
    return place.one("SELECT count(*) FROM actions"), place.one("SELECT count(*) FROM dead_letters")


def test_a_message_that_kills_its_worker_takes_nobody_with_it(place: Place, servers: Any) -> None:
    """Among 1000 good ones, prefetched by several workers: exactly one letter, 1000 rows."""
    limit_deliveries(place, servers)
    place.publish(thousand_and_one())
    with place.supervised(2, batch_messages=125, failpoint=f"judge:{POISON.decode()}"):
        until(lambda: sum(settled(place)) >= 1001, "all are settled")
        assert settled(place) == (1000, 1)
    row = place.rows("SELECT stage, reason, payload, exchange, routing_key, door FROM dead_letters")[0]
    assert row[:2] == ("crash", "delivery_limit")
    assert json.loads(row[2])["entity_name"] == POISON.decode()
    assert row[3:] == ("ingest", "action", "http")


def test_without_the_quarantine_lane_good_messages_become_letters(place: Place, servers: Any) -> None:
    """The control: the test above bites, because workers that know no suspects lose bystanders."""
    limit_deliveries(place, servers)
    place.publish(thousand_and_one())
    with place.naive(workers=2, batch_messages=125, failpoint=f"judge:{POISON.decode()}"):
        until(lambda: sum(settled(place)) >= 1001, "all are settled")
        rows, letters = settled(place)
    assert letters > 1
    assert rows < 1000


def test_what_kills_its_worker_even_as_a_letter_is_parked_and_its_neighbours_are_letters(place: Place) -> None:
    """Off the dead letter queue it goes to quarantine, and what comes back from there waits for a person."""
    bodies = [action(entity_name=f"app{n}") for n in range(20)]
    bodies.insert(7, action(entity_name=POISON.decode()))
    place.publish(bodies, "ingest.dead", "action", type="action")
    with place.supervised(1, failpoint=f"letter:{POISON.decode()}") as supervisor:
        until(lambda: place.messages("ingest.parked") == 1 and settled(place) == (0, 20), "parked, and 20 letters")
        until(lambda: place.messages("ingest.dead") == 0, "the queue is empty")
        assert place.log(supervisor).count('"event": "worker died"') < 12
    connection = connect(place.amqp_url, heartbeat=30, name="test")
    _, properties, body = connection.channel().basic_get("ingest.parked")
    connection.close()
    assert body == bodies[7]
    assert "died" in properties.headers["x-parked-reason"]


def test_a_run_end_without_its_start_waits_and_then_is_a_letter(place: Place) -> None:
    """Nobody waits for the answer: the delay queue brings it back until patience ends; then one letter."""
    body = json.dumps(
        {
            "action": "end", "resources": [], "status": "success", "run_list": "[]", "total_res_count": "0",
            "data": {}, "start_time": "2026-11-22 03:32:49 UTC", "end_time": "2026-11-22 03:33:49 UTC",
        }
    ).encode()  # fmt: skip
    url = {"x-organization": "ponyville", "x-node": "web01", "x-run-id": "c45db7fe-c756-4597-ae04-c7631f5b43bd"}
    # By way of the default exchange: whatever its routing key was, it has to come back from the delay.
    place.publish([body], "", "ingest.runs", type="run_end", headers=url)
    with place.consuming(run_end_patience_seconds=1):
        until(lambda: place.messages("ingest.delay") == 1, "it waits")
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 1, "it is a letter")
    row = place.rows("SELECT reason, organization, node, run_id, exchange, routing_key FROM dead_letters")[0]
    assert row == ("unknown_run", "ponyville", "web01", url["x-run-id"], "", "ingest.runs")


def test_an_outage_of_the_database_makes_no_letter(place: Place) -> None:
    """Read-only, the database refuses every row, and none of them is at fault: none is taken before it can be kept."""
    name = place.one("SELECT current_database()")
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    place.publish([action()])
    with place.consuming() as worker:
        until(lambda: "read-only" in place.log(worker), "the worker says what it waits for")
        assert place.messages("ingest.actions") == 1
        with psycopg.connect(place.database_url, autocommit=True) as connection:
            connection.execute(b"SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
            connection.execute(
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                b"WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        until(lambda: place.one("SELECT count(*) FROM actions") == 1, "it is stored")
    assert place.one("SELECT count(*) FROM dead_letters") == 0
