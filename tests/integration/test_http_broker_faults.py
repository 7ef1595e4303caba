"""A broker that refuses, returns, blocks, dies or is not there: a quick 503 that says why, and recovery alone."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from http_support import CREATED, Shim, answering, broker_channel, declare_topology, depth, serving
from operate_support import command, environment
from private_broker import private_broker

from ingest.local.rabbitmq import RabbitMQ
from ingest.shim.doors.collector import HEALTH_PATHS
from ingest.soak.ports import free_port
from ingest.soak.system import until
from schemas.topology import ACTIONS, INGEST_EXCHANGE
from tests.patience import LONG


@pytest.fixture(scope="module")
def own_broker() -> Iterator[RabbitMQ]:
    with private_broker() as broker:
        declare_topology(broker.url)
        yield broker


@pytest.fixture
def broker(amqp_url: str) -> str:
    declare_topology(amqp_url)
    return amqp_url


def post(shim: Shim, **headers: str) -> httpx.Response:
    """A POST that fails where it hangs."""
    return shim.http.post("/messages", content=b"{}", headers=headers, timeout=LONG)


def reason(response: httpx.Response) -> str:
    """What a 503 says is wrong."""
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    return str(response.json()["details"]["reason"])


def test_unroutable(broker: str) -> None:
    """A message for which no queue is bound is 503, never 201 or 202, and readiness names it."""
    with broker_channel(broker) as channel:
        channel.queue_unbind(ACTIONS, INGEST_EXCHANGE, "action.#")
        channel.queue_delete("ingest.pings")
    with serving(broker) as shim:
        assert reason(post(shim)) == "unroutable"
        assert reason(post(shim, Prefer="respond-async")) == "unroutable"
        assert shim.http.get("/readyz").json() == {"ready": False, "why": "unroutable"}
        with broker_channel(broker) as channel:
            channel.queue_bind(ACTIONS, INGEST_EXCHANGE, "action.#")
        assert post(shim, Prefer="respond-async").status_code == 202
    assert len(shim.events("broker_connected")) == 1


def test_full_queue(amqp_url: str) -> None:
    """A queue that refuses more is 503, and takes again when there is room."""
    with broker_channel(amqp_url) as channel:
        channel.exchange_declare(INGEST_EXCHANGE, "topic", durable=True)
        limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare("full", durable=True, arguments=limits)
        channel.queue_bind("full", INGEST_EXCHANGE, "#")
        with serving(amqp_url) as shim:
            assert post(shim, Prefer="respond-async").status_code == 202
            assert reason(post(shim, Prefer="respond-async")) == "nacked"
            assert reason(post(shim)) == "nacked"
            channel.queue_purge("full")
            assert post(shim, Prefer="respond-async").status_code == 202


def test_missing_exchange(amqp_url: str) -> None:
    """Without the exchange the shim is not connected and says what to run; declared, it goes on by itself."""
    with serving(amqp_url, connected=False) as shim:
        until(lambda: shim.events("broker_disconnected"), "the shim notices")
        assert "chef-ingest topology declare" in shim.events("broker_disconnected")[0]["why"]
        assert reason(post(shim)) == "not_connected"
        declare_topology(amqp_url)
        shim.connected()
        assert post(shim, Prefer="respond-async").status_code == 202


def test_nobody_there() -> None:
    """With no broker at all POST is 503 at once, readiness says why, and health is not touched."""
    with serving(f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F", connected=False) as shim:
        assert reason(post(shim)) == "not_connected"
        assert shim.http.get("/readyz").json() == {"ready": False, "why": "not_connected"}
        assert shim.http.get("/healthz").status_code == 200
        # What a Chef server's own health hangs on, and what its actions and its clients' runs hear meanwhile.
        for path in HEALTH_PATHS:
            assert shim.http.get(path).json() == {"status": "ok"}
            assert (shim.http.head(path).status_code, shim.http.head(path).content) == (200, b"")
        for body in (b'{"message_type":"action"}', b'{"message_type":"run_start"}', b""):
            answer = shim.http.post(HEALTH_PATHS[0], content=body)
            assert (reason(answer), answer.headers["retry-after"]) == ("not_connected", "2")
        assert shim.stop() == 0


def test_next_host(broker: str) -> None:
    """Of several brokers, one that is down is passed over."""
    nobody = f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"
    with serving(f"{nobody},{broker}") as shim:
        assert post(shim, Prefer="respond-async").status_code == 202


def test_silent_broker() -> None:
    """A host that takes connections and never speaks leaves the shim answering 503."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"amqp://guest:guest@127.0.0.1:{mute.getsockname()[1]}/%2F"
        with serving(url, connected=False) as shim:
            assert reason(post(shim)) == "not_connected"


@pytest.mark.parametrize(
    ("alarm", "calm"),
    [
        (("set_vm_memory_high_watermark", "0.0001"), ("set_vm_memory_high_watermark", "0.4")),
        (("set_disk_free_limit", "9000GB"), ("set_disk_free_limit", "50MB")),
    ],
)
def test_blocked(own_broker: RabbitMQ, alarm: tuple[str, str], calm: tuple[str, str]) -> None:
    """Under an alarm POST is 503 before its wait is over, and taken again once it is over, on the same connection."""
    with serving(own_broker.url) as shim, answering(own_broker.url):
        assert post(shim).status_code == 201
        own_broker.ctl(*alarm)
        try:
            # Its connections hear of it a moment later.
            until(lambda: post(shim).status_code == 503, "the alarm is heard of")
            assert reason(post(shim)) == "blocked"
            assert reason(post(shim)) == "blocked"
            assert shim.http.get("/readyz").json() == {"ready": False, "why": "blocked"}
        finally:
            own_broker.ctl(*calm)
        until(lambda: shim.events("broker_unblocked"), "the alarm is over")
        # The test's own worker publishes its replies on the connection that was blocked with ours.
        until(lambda: post(shim).status_code == 201, "a POST is taken again")
        assert len(shim.events("broker_connected")) == 1


def test_a_dead_log_is_named_with_its_remedy(own_broker: RabbitMQ, database_url: str, tmp_path: Path) -> None:
    """As after a full disk: no alarm, and nothing is confirmed. Doctor and status say so, and what to do."""
    env = environment(own_broker.url, database_url, tmp_path)

    def found(verb: str, words: str, **settings: str) -> bool:
        return words in command(verb, "--output", "json", env=env | settings).stdout

    with serving(own_broker.url) as shim, answering(own_broker.url):
        own_broker.ctl("eval", "sys:suspend(ra_log_wal).")
        try:
            assert found("doctor", "write-ahead log")
            until(lambda: not shim.http.get("/readyz").json()["ready"], "the shim is not ready")
            assert found("status", "write-ahead log", INGEST_LISTEN=shim.listen)
        finally:
            own_broker.ctl("eval", "sys:resume(ra_log_wal).")
        until(lambda: post(shim).status_code == 201, "a POST is taken again")
        assert found("doctor", "what is published is confirmed")


def test_restart(own_broker: RabbitMQ) -> None:
    """A broker that dies makes waiting and new POSTs 503 or 202, never 201, and is found again when it is back."""
    with serving(own_broker.url, wait_seconds=30) as shim:
        waiting: list[httpx.Response] = []
        before = depth(own_broker.url, ACTIONS)
        client = threading.Thread(target=lambda: waiting.append(post_long(shim)))
        client.start()
        until(lambda: depth(own_broker.url, ACTIONS) > before, "the POST is queued")
        own_broker.kill()
        client.join(LONG)
        # It was confirmed, so the broker has it on disk: 202. Not confirmed, it would be 503.
        assert waiting[0].status_code in (202, 503)
        assert reason(post(shim)) in ("not_connected", "connection_lost")
        own_broker.process.spawn()
        own_broker.wait_ready()
        shim.connected(times=2)
        with answering(own_broker.url) as worker:
            assert post(shim).status_code == 201
            until(lambda: len(worker.seen) >= before + 2, "what was confirmed before is still there")


def post_long(shim: Shim) -> httpx.Response:
    """A POST whose client would wait for half a minute."""
    with httpx.Client(base_url=shim.url, timeout=LONG, trust_env=False) as client:
        return client.post("/messages", content=b"{}")


def test_crowd(broker: str) -> None:
    """More POSTs at once than a shim takes are 503, and those under way are not harmed."""
    with serving(broker, max_outstanding=1, wait_seconds=20) as shim:
        waiting: list[httpx.Response] = []
        client = threading.Thread(target=lambda: waiting.append(post_long(shim)))
        client.start()
        until(lambda: depth(broker, ACTIONS) == 1, "the first POST is queued")
        assert reason(post(shim)) == "overloaded"
        with answering(broker):
            client.join(LONG)
        assert waiting[0].status_code == 201


def test_client_gone_mid_body(broker: str) -> None:
    """A client that leaves before its body is complete queues nothing, and nobody else notices. The log has it once:
    400 where it said that this is all, which is what it was answered, and 499 where it cut the connection."""
    with serving(broker) as shim:
        address = urlsplit(shim.url)
        for reset, told in ((False, (400, "incomplete")), (True, (499, "disconnected"))):
            client = socket.create_connection((address.hostname or "", address.port or 0))
            head = b"POST /messages HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
            client.sendall(head)
            assert client.recv(100).startswith(b"HTTP/1.1 100")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))
            client.close()
            until(lambda told=told: told in verdicts(shim), "it is logged")  # type: ignore[misc]
        assert verdicts(shim) == [(400, "incomplete"), (499, "disconnected")]
        assert depth(broker, ACTIONS) == 0
        with answering(broker):
            assert post(shim).status_code == 201


def verdicts(shim: Shim) -> list[tuple[int, str]]:
    """Status and verdict of each request in the log."""
    return [(each["status"], each["verdict"]) for each in shim.events("request")]


def test_client_gone_while_waiting(broker: str) -> None:
    """A client that leaves while it waits costs nothing: its message is judged, and nothing fails."""
    with serving(broker) as shim:
        address = urlsplit(shim.url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as client:
            client.sendall(b"POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            until(lambda: depth(broker, ACTIONS) == 1, "the message is queued")
        with answering(broker, CREATED) as worker:
            until(lambda: worker.seen, "the message is judged")
            assert post(shim).status_code == 201
        assert not shim.events("request_failed")
