"""Where good messages wait no delivery limit is reached: by argument in new queues, accepted without in old ones."""

from __future__ import annotations

import pika.exceptions
import pytest

from consumers.broker.connection import connect
from consumers.broker.declare import declare
from consumers.errors import Misconfigured
from ingest.diagnostics.broker import check_broker
from schemas.settings import Settings
from schemas.topology import ACTIONS, DELIVERY_LIMIT, RUNS, TOPOLOGY

OLDER = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-strategy": "at-least-once",
    "x-dead-letter-exchange": "ingest.dead",
}


def finding(url: str) -> tuple[str, str, str]:
    (found,) = (each for each in check_broker(Settings(amqp_url=url)) if each.check == "delivery limit")
    return found.level, found.finding, found.remedy


def test_new_queues_have_a_limit_that_is_never_reached(amqp_url: str) -> None:
    """Set, so that no version's default holds, and no -1, which drops at the first return."""
    connection = connect(amqp_url, heartbeat=30, name="test")
    declare(connection)
    assert finding(amqp_url)[0] == "ok"
    for queue in TOPOLOGY.queues:
        if queue.name in (ACTIONS, RUNS):
            assert queue.arguments["x-delivery-limit"] == DELIVERY_LIMIT > 10**6
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        connection.channel().queue_declare(ACTIONS, durable=True, arguments=OLDER)
    connection.close()


def test_a_queue_of_an_earlier_version_will_do_and_the_doctor_names_the_command(amqp_url: str) -> None:
    """Declared without a limit it can't be declared with one: it stays, and a policy can say the same."""
    connection = connect(amqp_url, heartbeat=30, name="test")
    connection.channel().queue_declare(ACTIONS, durable=True, arguments=OLDER)
    for _ in range(2):
        assert declare(connection) == []
    level, text, remedy = finding(amqp_url)
    assert (level, text.partition(":")[0]) == ("note", ACTIONS)
    queues = r"^(ingest\.actions|ingest\.collector|ingest\.runs)$"
    assert f"set_policy -p VHOST --apply-to queues ingest-delivery-limit '{queues}'" in remedy
    assert str(DELIVERY_LIMIT) in remedy
    connection.close()


def test_any_other_difference_is_still_refused(amqp_url: str) -> None:
    """Without a limit, and without the dead letter exchange too: that is no queue of ours."""
    connection = connect(amqp_url, heartbeat=30, name="test")
    connection.channel().queue_declare(ACTIONS, durable=True, arguments={"x-queue-type": "quorum"})
    with pytest.raises(Misconfigured, match="other arguments"):
        declare(connection)
    connection.close()
