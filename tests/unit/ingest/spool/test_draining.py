"""What waits reaches the broker in order and once, by one drainer; nothing of one message holds up the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.http.outcome import HOPELESS, SPOOLED, Refusal
from ingest.spool.contents import Contents
from ingest.spool.drainer import Drainer
from ingest.spool.segments import ASIDE, drainer_of, segments
from ingest.spool.spool import Spool
from schemas.message import Message
from tests.patience import LONG
from tests.spool_support import LIMIT, NEVER, Taker, action, contents, drained, kept, waiting


def payloads(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def test_what_waits_is_sent_in_order_with_the_time_it_came(tmp_path: Path) -> None:
    """Messages of several lives of a shim reach the broker as they came, and nothing is left of them."""
    taker = Taker()

    async def scenario() -> None:
        await kept(tmp_path, *map(action, range(120)))
        await kept(tmp_path, action(120))
        assert contents(tmp_path) == Contents(121, contents(tmp_path).bytes, 1700000000, 0, contents(tmp_path).used)
        assert await drained(tmp_path, taker) == Contents()

    asyncio.run(scenario())
    assert taker.payloads == payloads(*range(121))
    assert [received for _, received in taker.taken] == [*range(1700000000, 1700000120), 1700000000]
    assert segments(tmp_path) == []


def test_what_the_broker_refuses_stays_and_is_all_that_is_sent_again(tmp_path: Path) -> None:
    """Of a queue that is full in the middle the rest waits; what was confirmed is not sent again."""
    taker = Taker(lambda message: Refusal.NACKED if int(message.payload) >= 70 else None)

    async def scenario() -> None:
        await kept(tmp_path, *map(action, range(120)))
        assert (await drained(tmp_path, taker)).messages == 50
        assert taker.payloads == payloads(*range(70))
        taker.refuses = lambda _: None
        await drained(tmp_path, taker)

    asyncio.run(scenario())
    assert taker.payloads == payloads(*range(120))


def test_nothing_is_tried_while_the_broker_takes_nothing(tmp_path: Path) -> None:
    """A broker that is away is asked nothing, and what waits is told of all the same."""
    taker = Taker()
    taker.away = Refusal.BLOCKED

    async def scenario() -> None:
        await kept(tmp_path, action(1))
        assert (await drained(tmp_path, taker)).messages == 1

    asyncio.run(scenario())
    assert taker.tried == []


def test_one_drainer_at_a_time(tmp_path: Path) -> None:
    """While another drains a folder nothing is sent by us; once it is gone, it is."""
    taker = Taker()

    async def scenario() -> None:
        await kept(tmp_path, action(1))
        with drainer_of(tmp_path) as ours:
            assert ours
            assert (await drained(tmp_path, taker)).messages == 1
        assert taker.tried == []
        assert (await drained(tmp_path, taker)).messages == 0

    asyncio.run(scenario())
    assert taker.payloads == payloads(1)


def test_a_segment_that_another_still_writes_is_left_to_it(tmp_path: Path) -> None:
    """What another shim writes is looked at, not sent or removed, until it has sealed it."""
    taker = Taker()

    async def scenario() -> None:
        other = Spool(tmp_path, LIMIT, NEVER)
        assert await other.keep(action(1), LONG) == SPOOLED
        assert (await drained(tmp_path, taker)).messages == 1
        assert await other.keep(action(2), LONG) == SPOOLED
        assert taker.tried == []
        await other.close()
        assert (await drained(tmp_path, taker)).messages == 0

    asyncio.run(scenario())
    assert taker.payloads == payloads(1, 2)


def test_the_end_of_a_segment_that_was_never_told_is_cut_off(tmp_path: Path) -> None:
    """A writer that died in the middle of a record: what is before is sent, the rest is told of and gone."""
    taker = Taker()

    async def scenario() -> None:
        await kept(tmp_path, action(1), action(2))
        (path,) = segments(tmp_path)
        path.write_bytes(path.read_bytes()[:-1])
        with capture_logs() as logs:
            assert await drained(tmp_path, taker) == Contents()
        assert [each["event"] for each in logs] == ["spool_torn", "spool_drained"]

    asyncio.run(scenario())
    assert taker.payloads == payloads(1)


def test_what_is_damaged_is_kept_aside_and_told(tmp_path: Path) -> None:
    """A damaged record in the middle is kept, byte for byte, in a file of its own; the others are sent."""
    taker = Taker()

    async def scenario() -> None:
        await kept(tmp_path, *map(action, range(3)))
        (path,) = segments(tmp_path)
        data = path.read_bytes().replace(b'"received":1700000001', b'"received":1700000009')
        path.write_bytes(data)
        with capture_logs() as logs:
            assert (await drained(tmp_path, taker)).aside == 1
        (told,) = [each for each in logs if each["event"] == "spool_set_aside"]
        part = Path(told["file"]).read_bytes()[28:]
        assert part in data
        assert b'"received":1700000009' in part
        assert waiting(tmp_path) == ["damaged"]

    asyncio.run(scenario())
    assert taker.payloads == payloads(0, 2)


def test_a_message_that_costs_the_connection_is_set_aside_alone(tmp_path: Path) -> None:
    """One that the broker closes the connection over, each time, stops no other; moved back, it is tried again."""
    lost: list[Message] = []

    def refuses(message: Message) -> Refusal | None:
        # The connection goes with the one, and with it all that is under way behind it.
        if message.payload == b"7" and not fine:
            lost.append(message)
        return Refusal.CONNECTION_LOST if lost else None

    fine = False
    taker = Taker(refuses)

    async def scenario() -> None:
        await kept(tmp_path, *map(action, range(20)))
        spool = Spool(tmp_path, LIMIT, NEVER)
        drainer = Drainer(spool, taker, NEVER)
        for _ in range(7):
            await drainer.turn()
            lost.clear()
        await spool.close()
        assert drainer.contents == Contents(aside=1)
        assert waiting(tmp_path) == ["aside"]

    asyncio.run(scenario())
    assert taker.payloads == payloads(*range(7), *range(8, 20))
    assert taker.tried.count(b"7") == 6
    fine = True
    for path in segments(tmp_path / ASIDE):
        path.rename(tmp_path / path.name)
    asyncio.run(drained(tmp_path, taker))
    assert taker.payloads[-1] == b"7"


@pytest.mark.parametrize("refusal", sorted(HOPELESS, key=str))
def test_what_can_be_sent_by_no_try_is_set_aside_at_once(refusal: Refusal, tmp_path: Path) -> None:
    """Names that no frame holds, a body that the broker's limit forbids: neither is tried again."""
    taker = Taker(lambda message: refusal if message.payload == b"1" else None)

    async def scenario() -> None:
        await kept(tmp_path, *map(action, range(3)))
        assert (await drained(tmp_path, taker)) == Contents(aside=1)

    asyncio.run(scenario())
    assert taker.payloads == payloads(0, 2)
