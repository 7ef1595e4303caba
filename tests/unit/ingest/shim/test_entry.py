"""What a door says of itself is what its POSTs get: its kinds, bounds, waits, answers."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from math import inf
from types import MappingProxyType
from typing import Any

import pytest

from ingest.http.answers import ANSWERS, Answer, Asked
from ingest.http.outcome import HOPELESS, QUEUED, SPOOLED, Outcome, Refusal, Refused
from ingest.http.requests import Declined, Request
from ingest.http.routes import BY_KIND, Route
from ingest.shim.doors.entry import Entry
from schemas.doors import Door
from schemas.kinds.action import KIND as ACTION
from schemas.kinds.run_start import KIND as RUN_START
from schemas.message import Message
from schemas.settings import Settings
from schemas.verdict import Invalid

SETTINGS = Settings(max_header_bytes=1024, wait_seconds=0.25, confirm_timeout_seconds=2.5, max_wait_seconds=9.0)
DOOR = Door(
    name="side",
    word="side",
    kinds=(ACTION.name, RUN_START.name),
    profile="chef_profile",
    posts={"/side/{organization}": None, "/side": ACTION.name},
    scope="runs",
    scopes={ACTION.name: "actions"},
    limit="max_header_bytes",
    waits={RUN_START.name: "confirm_timeout_seconds"},
    spooled=(ACTION.name,),
)
OF_SPOOL = {Refusal.SPOOL_FULL, Refusal.SPOOL_FAILED, Refusal.SPOOL_SLOW}
REFUSED = Invalid("schema", "schema", {"start_time": "is missing"})


class Broker:
    """A publisher that keeps what it gets, and says what it was told to say."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.taken: list[tuple[Message, float]] = []
        self.confirms: list[float] = []
        self.refuses: Refusal | None = None

    message_bytes = math.inf

    def refusal(self) -> Refusal | None:
        return self.refuses

    def publish(self, message: Message, *, wait: float, confirm: float) -> tuple[str, asyncio.Future[Outcome]]:
        self.taken.append((message, wait))
        self.confirms.append(confirm)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        future.set_result(self.outcome)
        return "1", future


def kept(verdict: Invalid, asked: Asked) -> Answer:
    return Answer(202 if asked.kind == RUN_START.name else 400, {"stored": False, "details": dict(verdict.details)})


def kind_of(body: bytes, _coding: str | None) -> str:
    return RUN_START.name if b"run" in body else ACTION.name


class Disk:
    """A spool that keeps what it gets, or has no room."""

    def __init__(self, outcome: Outcome = SPOOLED) -> None:
        self.outcome = outcome
        self.kept: list[Message] = []
        self.within: set[float] = set()

    async def keep(self, message: Message, within: float) -> Outcome:
        self.kept.append(message)
        self.within.add(within)
        return self.outcome


def side(broker: Broker, disk: Disk | None) -> Iterator[Route]:
    publisher: Any = broker
    spool: Any = disk
    answers = MappingProxyType({**ANSWERS, Invalid: kept})
    return Entry(SETTINGS, publisher, spool=spool).posts(DOOR, kind_of=kind_of, answers=answers)


def post(
    broker: Broker,
    body: bytes,
    fields: dict[bytes, bytes] | None = None,
    route: int = 0,
    scopes: frozenset[str] | None = None,
    disk: Disk | None = None,
) -> Answer:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    headers = [(b"host", b"ingest"), *(fields or {}).items()]
    scope = {"method": "POST", "headers": headers, "path": "/side/acme", "query_string": b"", "scheme": "http"}
    request = Request(scope, receive)  # type: ignore[arg-type]
    request.params = {"organization": "acme"} if route == 0 else {}
    request.scopes, request.speaks_for, request.speaks_as = scopes, ("acme",), "web1"
    chosen = list(side(broker, disk))[route]
    assert (chosen.method, chosen.scope, chosen.owner) == ("POST", (BY_KIND, "actions")[route], "body")

    async def answer() -> Answer:
        return await chosen.handler(request)

    return asyncio.run(answer())


def test_the_body_tells_the_kind_where_the_path_does_not() -> None:
    """What is published has the kind of its body or its path, the path's organization, the door's word, and whom its
    sender may speak for."""
    broker = Broker(QUEUED)
    for body, route in ((b"{run}", 0), (b"{}", 0), (b"{run}", 1)):
        post(broker, body, {b"content-encoding": b"gzip"}, route)
    assert [message for message, _ in broker.taken] == [
        Message(RUN_START.name, b"{run}", "side", "acme", None, None, "gzip", ("acme",), "web1"),
        Message(ACTION.name, b"{}", "side", "acme", None, None, "gzip", ("acme",), "web1"),
        Message(ACTION.name, b"{run}", "side", None, None, None, "gzip", ("acme",), "web1"),
    ]


def test_a_token_must_be_good_for_the_kind_that_comes() -> None:
    """Where the body tells the kind it tells the scope: nothing else is published, and the log says why."""
    broker = Broker(QUEUED)
    for scopes, body, taken in (
        ({"runs"}, b"run", True), ({"runs"}, b"{}", False), ({"actions", "read"}, b"{}", True),
        ({"actions", "read"}, b"run", False), ({"actions", "runs"}, b"run", True), (set(), b"run", False),
    ):  # fmt: skip
        if taken:
            assert post(broker, body, scopes=frozenset(scopes)).status == 202
        else:
            with pytest.raises(Declined) as declined:
                post(broker, body, scopes=frozenset(scopes))
            assert declined.value.answer.status == 403
    assert [message.payload for message, _ in broker.taken] == [b"run", b"{}", b"run"]


def test_each_kind_waits_as_its_door_says() -> None:
    """A kind with a wait of its own has that, the others the door's; who asks for another gets it, within the bound.

    The broker has the kind's own wait to confirm it, whatever is asked for.
    """
    broker = Broker(QUEUED)
    for body, prefer in ((b"run", b""), (b"{}", b""), (b"{}", b"wait=3"), (b"run", b"wait=99")):
        post(broker, body, {b"prefer": prefer})
    assert [wait for _, wait in broker.taken] == [2.5, 0.25, 3.0, 9.0]
    assert broker.confirms == [2.5, inf, inf, 2.5]


def test_a_body_is_bounded_by_its_doors_limit() -> None:
    """One byte more than the door takes is a 413 and nowhere published."""
    broker = Broker(QUEUED)
    assert post(broker, b" " * 1024).status == 202
    with pytest.raises(Declined) as declined:
        post(broker, b" " * 1025)
    assert declined.value.answer.status == 413
    assert len(broker.taken) == 1


def test_a_verdict_is_answered_as_the_door_does() -> None:
    """The same verdict is another answer at a door that says so, by kind; what it does not say is answered as ever."""
    assert post(Broker(REFUSED), b"run").status == 202
    assert post(Broker(REFUSED), b"{}").status == 400
    assert post(Broker(Refused(Refusal.NACKED)), b"{}").status == 503


def test_who_cannot_be_served_is_told_before_the_body() -> None:
    """A shim without its broker reads no body, and the answer is the door's."""
    broker = Broker(QUEUED)
    broker.refuses = Refusal.BLOCKED
    answer = post(broker, b" " * 5000)
    assert (answer.status, answer.code, broker.taken) == (503, "blocked", [])
    assert json.loads(json.dumps(answer.content))["details"] == {"reason": "blocked"}


def test_what_the_broker_does_not_take_is_spooled_where_the_door_says_so() -> None:
    """For whatever reason: 202, and where it will be read; another kind of the same door is 503 as ever."""
    for refusal in set(Refusal) - HOPELESS - OF_SPOOL:
        broker, disk = Broker(Refused(refusal)), Disk()
        answer = post(broker, b"{}", disk=disk)
        assert (answer.status, answer.code, answer.content["uri_template"]) == (
            202,
            "spooled",
            "http://ingest/actions/{id}",
        )  # type: ignore[call-overload]
        assert disk.kept == [message for message, _ in broker.taken]
        assert disk.within == {SETTINGS.wait_seconds}, "as long as the door waits for its verdict"
        assert post(broker, b"run", disk=disk).status == 503
        assert len(disk.kept) == 1
        assert post(broker, b"{}").status == 503


def test_what_the_broker_takes_or_never_will_is_not_spooled() -> None:
    """A verdict, a place in the queue, and what fits into no frame or no message are answered, and nothing is kept."""
    disk = Disk()
    never = ((Refused(Refusal.TOO_LONG), 400), (Refused(Refusal.TOO_LARGE), 413))
    for outcome, status in ((QUEUED, 202), (REFUSED, 400), *never):
        assert post(Broker(outcome), b"{}", disk=disk).status == status
    assert disk.kept == []


def test_a_spool_without_room_is_503_and_says_so() -> None:
    """Then nobody has the message, and its sender is told why."""
    for refusal in OF_SPOOL:
        answer = post(Broker(Refused(Refusal.BLOCKED)), b"{}", disk=Disk(Refused(refusal)))
        assert (answer.status, answer.code) == (503, refusal.value)
        assert "spool" in answer.content["error"]  # type: ignore[call-overload]


def test_a_broker_that_is_away_does_not_keep_a_body_from_the_spool() -> None:
    """Who can be served by the spool is not turned away before the body."""
    broker, disk = Broker(Refused(Refusal.BLOCKED)), Disk()
    broker.refuses = Refusal.BLOCKED
    assert post(broker, b"{}", disk=disk).status == 202
    assert [message.payload for message in disk.kept] == [b"{}"]
