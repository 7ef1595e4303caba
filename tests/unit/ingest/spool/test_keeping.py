"""What is told as kept is on the disk; what can't be kept is told so, and what is refused is not sent later."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from ingest.http.outcome import SPOOLED, Refusal, Refused
from ingest.spool import segments
from ingest.spool.spool import Spool
from tests.patience import LONG
from tests.spool_support import LIMIT, NEVER, Taker, action, contents, drained, kept


def test_many_at_once_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred that come while the first is written wait for one more sync, not for a hundred."""
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(segments.os, "fsync", lambda file: (synced.append(file), real(file))[1])

    async def scenario() -> None:
        assert await kept(tmp_path, action(0)) == [SPOOLED]
        synced.clear()
        assert set(await kept(tmp_path, *map(action, range(100)))) == {SPOOLED}

    asyncio.run(scenario())
    # The segment's name in its folder, and the messages.
    assert len(synced) == 2
    assert contents(tmp_path).messages == 101


def test_a_slow_disk_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a sync lasts the loop goes on, and the message is not told as kept."""
    go_on = threading.Event()
    real = os.fsync
    monkeypatch.setattr(segments.os, "fsync", lambda file: (go_on.wait(LONG), real(file))[1])

    async def scenario() -> None:
        spool = Spool(tmp_path, LIMIT, NEVER)
        keeping = asyncio.create_task(spool.keep(action(1), LONG))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not keeping.done()
        go_on.set()
        assert await keeping == SPOOLED
        await spool.close()

    asyncio.run(scenario())


def test_a_disk_that_hangs_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has waited for as long as the door says is refused, and neither heard nor counted as kept afterwards; what
    was being written by then is drained, what had not begun leaves no trace, and the next one is kept."""
    begun, go_on = threading.Event(), threading.Event()
    real = os.fsync
    monkeypatch.setattr(segments.os, "fsync", lambda file: (begun.set(), go_on.wait(LONG), real(file))[2])
    counted: list[tuple[str, str]] = []

    async def scenario() -> None:
        spool = Spool(tmp_path, LIMIT, NEVER, observe=lambda *seen: counted.append(seen))
        first = asyncio.create_task(spool.keep(action(1), 0.0))
        await asyncio.to_thread(begun.wait, LONG)
        assert await first == Refused(Refusal.SPOOL_SLOW)
        assert await spool.keep(action(2), 0.0) == Refused(Refusal.SPOOL_SLOW)
        go_on.set()
        assert await spool.keep(action(3), LONG) == SPOOLED
        await spool.close()
        taker = Taker()
        await drained(tmp_path, taker)
        assert taker.payloads == [b"1", b"3"]

    asyncio.run(scenario())
    assert [result for _, result in counted] == ["spool_slow", "spool_slow", "spooled"]


def test_a_full_spool_says_so_and_has_room_again_once_it_is_drained(tmp_path: Path) -> None:
    """What is beyond the bound is refused by its reason; what fits is kept; afterwards there is room."""
    big = [action(number, LIMIT // 4) for number in range(5)]

    async def scenario() -> None:
        outcomes = await kept(tmp_path, *big)
        assert outcomes == [SPOOLED] * 3 + [Refused(Refusal.SPOOL_FULL)] * 2
        assert await kept(tmp_path, big[4]) == [Refused(Refusal.SPOOL_FULL)]
        assert contents(tmp_path).used <= LIMIT
        taker = Taker()
        await drained(tmp_path, taker)
        assert taker.payloads == [each.payload for each in big[:3]]
        assert await kept(tmp_path, big[4]) == [SPOOLED]

    asyncio.run(scenario())


def test_what_could_not_be_written_is_refused_and_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that fails refuses all that waited for it, whose bytes leave the file; the next one is kept."""
    real = os.fsync

    def failing(file: int) -> None:
        if os.fstat(file).st_size > 4096:
            raise OSError(errno.EIO, "no disk")
        real(file)

    monkeypatch.setattr(segments.os, "fsync", failing)

    async def scenario() -> None:
        spool = Spool(tmp_path, LIMIT, NEVER)
        assert await spool.keep(action(1), LONG) == SPOOLED
        assert await spool.keep(action(2, 9000), LONG) == Refused(Refusal.SPOOL_FAILED)
        assert await spool.keep(action(3), LONG) == SPOOLED
        await spool.close()
        taker = Taker()
        await drained(tmp_path, taker)
        assert taker.payloads == [b"1", b"3"]

    asyncio.run(scenario())


def test_a_folder_that_is_none_refuses(tmp_path: Path) -> None:
    """Where no folder can be made a message is refused; once one can, it is kept."""
    folder = tmp_path / "spool"
    folder.write_text("in the way")
    assert asyncio.run(kept(folder, action(1))) == [Refused(Refusal.SPOOL_FAILED)]
    folder.unlink()
    assert asyncio.run(kept(folder, action(1))) == [SPOOLED]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_a_segment_removed_under_its_writer_keeps_nothing(tmp_path: Path) -> None:
    """What goes into a file that somebody has removed is refused, not told as kept; the next begins another."""

    async def scenario() -> None:
        spool = Spool(tmp_path, LIMIT, NEVER)
        assert await spool.keep(action(1), LONG) == SPOOLED
        for path in segments.segments(tmp_path):
            path.unlink()
        assert await spool.keep(action(2), LONG) == Refused(Refusal.SPOOL_FAILED)
        assert await spool.keep(action(3), LONG) == SPOOLED
        await spool.close()
        assert contents(tmp_path).messages == 1

    asyncio.run(scenario())


def test_large_segments_are_followed_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments end once they are large, and are drained in the order in which they began."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 2000)
    taker = Taker()

    async def scenario() -> None:
        for number in range(9):
            await kept(tmp_path, action(number, 900))
        spool = Spool(tmp_path, LIMIT, NEVER)
        for number in range(9, 18):
            await spool.keep(action(number, 900), LONG)
        await spool.close()
        assert len(segments.segments(tmp_path)) == 9 + 5
        await drained(tmp_path, taker)

    asyncio.run(scenario())
    assert [int(each) for each in taker.payloads] == list(range(18))
