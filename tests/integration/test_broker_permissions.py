"""An account that may not declare what exists already works; one that lacks what is needed is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import structlog

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.delivery import Delivery
from consumers.errors import Misconfigured
from consumers.worker.outbox import AmqpOutbox
from ingest.diagnostics.broker import check_broker
from ingest.local.stack import LocalStack
from ingest.soak.system import until
from schemas.message import Message
from schemas.settings import Settings
from schemas.topology import ACTIONS, PINGS
from schemas.verdict import Pong

Grant = Callable[[str, str, str], str]


@pytest.fixture
def granted(amqp_url: str, servers: LocalStack) -> Iterator[Grant]:
    """Gives the URL of a user with (configure, write, read) permissions on this test's vhost."""
    rabbit = servers.rabbit
    assert rabbit is not None
    rabbit.ctl("add_user", "lowly", "secret")
    parts = urlsplit(amqp_url)

    def grant(configure: str, write: str, read: str) -> str:
        rabbit.ctl("set_permissions", "-p", parts.path[1:], "lowly", configure, write, read)
        return parts._replace(netloc=f"lowly:secret@{parts.hostname}:{parts.port}").geturl()

    yield grant
    rabbit.ctl("delete_user", "lowly")


def test_what_is_there_need_not_be_declared(amqp_url: str, granted: Grant) -> None:
    """All is looked at; what could not be compared is told. What is missing can't be made, and that is told too."""
    owner = connect(amqp_url, heartbeat=30, name="test")
    assert declare(owner) == []
    connection = connect(granted("^$", ".*", ".*"), heartbeat=30, name="test")
    assert "queue 'ingest.actions'" in declare(connection)
    owner.channel().queue_delete(PINGS)
    with pytest.raises(Misconfigured, match=rf"{PINGS}.*configure, write and read"):
        declare(connection)
    connection.close()
    owner.close()


A_SHIM = "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAxMDI5Mzc0OAAAAuUAAAAAawhHhA==.F3t8g0wCXDYxlNiOKWy4ZA=="
"""An address as the broker writes them."""


def test_the_doctor_says_who_can_not_compare_and_who_can_not_reply(amqp_url: str, granted: Grant) -> None:
    """Without the right to declare: a note. Without the right to reply: broken, for every POST waits in vain."""
    owner = connect(amqp_url, heartbeat=30, name="test")
    declare(owner)
    owner.close()
    url = granted("^$", "^(ingest.*|actions)$", ".*")
    found = {each.check: each for each in check_broker(Settings(amqp_url=url)) if each.level != "ok"}
    assert found["queue arguments"].level == "note"
    assert "amq.default" in found["permission"].finding + found["permission"].remedy
    assert {"queue arguments", "permission"} == set(found)


def test_a_worker_that_can_not_reply_says_so(amqp_url: str, granted: Grant) -> None:
    """Once, with the remedy: from the answers alone nobody could tell."""
    owner = connect(amqp_url, heartbeat=30, name="test")
    declare(owner)
    owner.close()
    url = granted("^$", "^(ingest.*|actions)$", ".*")
    outbox = AmqpOutbox(lambda: connect(url, heartbeat=30, name="test"))
    waiting = Delivery(Message("action", b"{}", "http"), 1, 1, ACTIONS, "ingest", "action", A_SHIM, "1")
    with structlog.testing.capture_logs() as log:
        until(lambda: outbox.reply([(waiting, Pong())]) and log, "it is said")
        for _ in range(3):
            outbox.reply([(waiting, Pong())])
    outbox.close()
    [said] = log
    assert said["event"] == "replies refused"
    assert "amq.default" in said["why"] + said["remedy"]
