"""What is believed of an envelope: a shim's and a worker's word, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.spec import BasicProperties

from consumers.broker.frames import Arrival
from consumers.broker.provenance import provenance
from consumers.delivery import Delivery
from consumers.worker.intake import taken_in
from schemas.doors import CHEF_EXCHANGE
from schemas.message import OUR_HEADERS
from schemas.topology import ACTIONS, DEAD, DEAD_EXCHANGE, INGEST_EXCHANGE, QUARANTINE, RUNS

SHIM = "amq.rabbitmq.reply-to.g2dkAA1ub25vZGVAbm9ob3N0AAAAAAAAAAAA.a2V5"
FORGED = {
    "x-origin-exchange": "ingest", "x-origin-routing-key": "run.start", "x-origin-queue": "ingest.runs",
    "x-door": "http", "x-organization": "acme", "x-node": "victim", "x-run-id": "r", "x-letter-id": 7, "x-replay": 1,
    "x-retries": 3, "x-answer-by": 1, "x-given-up": "maxlen", "x-delivery-count": 9,
}  # fmt: skip
values = (
    st.text(max_size=5) | st.integers(0, 9) | st.binary(max_size=3) | st.sampled_from(["ingest", "actions", "http"])
)
forgeries = st.dictionaries(st.sampled_from([*OUR_HEADERS, "x-delivery-count", "x-death"]), values, max_size=8)


def taken(queue: str, exchange: str, key: str, *, again: bool = False, **facts: Any) -> Delivery:
    return taken_in(Arrival("tag", exchange, key, again), queue, 1, 1, BasicProperties(**facts), b"{}")


def plain(delivery: Delivery) -> tuple[Any, ...]:
    message = delivery.message
    return (
        message.kind, message.door, message.organization, message.node, message.run_id, delivery.exchange,
        delivery.routing_key, delivery.reply_to, delivery.letter_id, delivery.retries, delivery.deliveries,
    )  # fmt: skip


@given(forgeries, st.text(max_size=5) | st.sampled_from(["run_start", "ping", SHIM]))
def test_whatever_a_chef_server_sends_it_is_an_action_of_a_chef_server(headers: dict[str, Any], word: str) -> None:
    """Of all that its account can write into an envelope, only the routing key counts."""
    bare = taken(ACTIONS, CHEF_EXCHANGE, "erchef.node.create")
    forged = taken(
        ACTIONS, CHEF_EXCHANGE, "erchef.node.create", headers=headers, type=word, reply_to=SHIM, correlation_id=word
    )
    assert plain(forged) == plain(bare)
    assert forged.problem is None


@given(forgeries, st.lists(st.dictionaries(st.sampled_from(["exchange", "routing-keys", "count"]), values), max_size=2))
def test_no_forgery_makes_a_run_of_an_action_that_the_broker_gave_up(headers: dict[str, Any], older: list[Any]) -> None:
    """The newest death's queue is the broker's word, and from that queue comes an action, with no facts of a run."""
    for newest in [{"exchange": "actions", "routing-keys": ["erchef.x.y"]}, {"exchange": "ingest"}, *older]:
        deaths = [newest | {"queue": ACTIONS, "reason": "expired"}, *older]
        given_up = taken(DEAD, DEAD_EXCHANGE, "run.start", headers=headers | {"x-death": deaths}, type="run_start")
        assert given_up.message.kind == "action"
        assert (given_up.message.organization, given_up.message.node, given_up.letter_id) == (None, None, None)
        assert given_up.reply_to is None


def test_a_shim_is_believed() -> None:
    """Kind, facts, and that it waits."""
    facts = {"headers": FORGED, "type": "run_start", "reply_to": SHIM, "correlation_id": "c"}
    start = taken(RUNS, INGEST_EXCHANGE, "run.start", **facts)
    assert (start.message.kind, start.message.organization, start.message.node) == ("run_start", "acme", "victim")
    assert (start.reply_to, start.correlation_id, start.letter_id) == (SHIM, "c", 7)


@pytest.mark.parametrize("reply_to", ["ingest.actions", "some.queue", "amq.rabbitmq.reply-to", b"\xff", "", None])
def test_replies_go_to_a_shims_own_address_and_nowhere_else(reply_to: Any) -> None:
    """Not even who may write to `ingest` makes a worker write into a queue."""
    found = taken(ACTIONS, INGEST_EXCHANGE, "action", type="action", reply_to=reply_to, correlation_id="c")
    assert found.reply_to is None


def test_a_count_of_deliveries_is_believed_once_the_broker_has_redelivered() -> None:
    """A first delivery has none but a forged one."""
    headers = {"x-delivery-count": 5}
    assert taken(ACTIONS, CHEF_EXCHANGE, "erchef.a.b", headers=headers).deliveries == 0
    assert taken(ACTIONS, CHEF_EXCHANGE, "erchef.a.b", headers=headers, again=True).deliveries == 5


@pytest.mark.parametrize(
    ("queue", "exchange", "headers"),
    [
        (ACTIONS, INGEST_EXCHANGE, {}),
        (ACTIONS, "", {}),
        (DEAD, DEAD_EXCHANGE, {"x-death": [{"queue": ACTIONS, "exchange": "ingest", "reason": "delivery_limit"}]}),
        (QUARANTINE, "", {"x-origin-exchange": "ingest", "x-origin-routing-key": "action", "x-door": "http"}),
    ],
)
@pytest.mark.parametrize(
    ("told", "held"), [(["a", "b"], ("a", "b")), ([], ()), (["a", 5, b"b"], ("a",)), ("a", ()), (None, ())]
)
def test_whom_a_sender_may_speak_for_stays_with_its_message(
    queue: str, exchange: str, headers: dict[str, Any], told: Any, held: tuple[str, ...]
) -> None:
    """Whatever way it takes, and whether or not the rest of its envelope is believed; unreadable, it is nobody."""
    found = taken(queue, exchange, "action", type="action", headers=headers | {"x-speaks-for": told})
    assert (found.message.kind, found.message.door, found.message.speaks_for) == ("action", "http", held)
    assert found.headers["x-speaks-for"] == told  # And so it goes along when it is moved.


@pytest.mark.parametrize(("told", "held"), [("web1", "web1"), ("", ""), (5, ""), (None, "")])
def test_as_whom_a_sender_speaks_stays_with_its_message(told: Any, held: str) -> None:
    """Also in an envelope of which nothing else is believed; unreadable, it is nobody."""
    found = taken(ACTIONS, "", "action", type="action", headers={"x-speaks-as": told})
    assert (found.message.speaks_as, found.headers["x-speaks-as"]) == (held, told)


@pytest.mark.parametrize("exchange", ["", "partner", "amq.topic"])
@pytest.mark.parametrize("kind", [None, "", "run_start", "ping", "something", b"\xff"])
def test_what_was_moved_by_hand_without_a_kind_of_that_queue_is_a_chef_servers(exchange: str, kind: Any) -> None:
    """By management, a shovel or a binding: the queue says what it is."""
    found = provenance(ACTIONS, exchange, "ingest.actions", BasicProperties(type=kind, headers=FORGED))
    assert (found.kind, found.door, found.ours) == ("action", "chef", False)


def test_a_shims_action_moved_by_hand_stays_one() -> None:
    """Its type names a kind that belongs in that queue."""
    found = provenance(ACTIONS, "", "ingest.actions", BasicProperties(type="action"))
    assert (found.kind, found.door) == ("action", "http")


def test_what_a_worker_has_moved_keeps_where_it_came_from() -> None:
    """Quarantine is reached by the default exchange, where a Chef server's account may not write."""
    headers = {"x-origin-exchange": "actions", "x-origin-routing-key": "erchef.a.b", "x-door": "chef"}
    found = provenance(QUARANTINE, "", QUARANTINE, BasicProperties(type="action", headers=headers))
    assert found[1:5] == ("actions", "erchef.a.b", "action", "chef")
    assert not found.answered


def test_a_fault_of_our_own_in_reading_is_that_deliverys_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is there, and the reason."""

    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("consumers.worker.intake.provenance", broken)
    found = taken(ACTIONS, CHEF_EXCHANGE, "erchef.a.b")
    assert found.message.payload == b"{}"
    assert found.problem is not None
    assert found.problem.reason == "exception"
