"""How many workers there should be is decided within a band, by what is seen, without flapping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.supervisor.autoscale import DOWN_SECONDS, SPARE, UP_SECONDS, Band, Memory, Sight, decide, within_room

BAND = Band(1, 8, 60.0)


bands = st.builds(
    lambda least, more, target: Band(least, least + more, target),
    st.integers(1, 20),
    st.integers(0, 50),
    st.floats(1, 3600),
)


sights = st.builds(
    Sight,
    now=st.floats(0, 1e6),
    backlog=st.integers(0, 10**9),
    rate=st.floats(0, 1e6),
    consuming=st.integers(0, 300),
    paused=st.booleans(),
)


memories = st.builds(
    Memory,
    worker_rate=st.none() | st.floats(0, 1e6, exclude_min=True),
    more_since=st.none() | st.floats(0, 1e6),
    fewer_since=st.none() | st.floats(0, 1e6),
)


@given(bands, sights, st.integers(0, 400), memories)
def test_the_number_stays_in_its_band_and_never_more_than_doubles(
    band: Band, sight: Sight, wanted: int, memory: Memory
) -> None:
    """Whatever is seen, the number is within the band, at most twice what it was, and at most one lower."""
    decided, _ = decide(band, sight, wanted, memory)
    assert band.least <= decided <= band.most
    current = min(max(wanted, band.least), band.most)
    assert current - 1 <= decided <= 2 * current


@given(bands, sights, st.integers(1, 70), memories)
def test_an_outage_changes_no_number(band: Band, sight: Sight, wanted: int, memory: Memory) -> None:
    """While workers are held up, more or fewer of them would not help."""
    paused = Sight(sight.now, sight.backlog, sight.rate, sight.consuming, paused=True)
    decided, _ = decide(band, paused, wanted, memory)
    assert decided == min(max(wanted, band.least), band.most)


def run(seconds: float, wanted: int, memory: Memory, *, backlog: int, worker_rate: float, start: float = 0.0) -> list:
    """What is decided every 2 s while the backlog stays; the numbers, and the memory at the end."""
    numbers = []
    for step in range(int(seconds / 2)):
        sight = Sight(start + 2.0 * step, backlog, worker_rate * wanted, wanted)
        wanted, memory = decide(BAND, sight, wanted, memory)
        numbers.append(wanted)
    return [numbers, memory]


@given(st.integers(0, 10**6), st.floats(1, 10**4), st.integers(1, 8))
def test_a_steady_load_settles_without_flapping(backlog: int, worker_rate: float, wanted: int) -> None:
    """With a backlog and a rate that stay as they are, the number goes one way and then stays."""
    numbers, _ = run(600, wanted, Memory(), backlog=backlog, worker_rate=worker_rate)
    directions = [b - a for a, b in zip([wanted, *numbers], numbers, strict=False) if a != b]
    assert all(d > 0 for d in directions) or all(d < 0 for d in directions)
    assert len(set(numbers[-30:])) == 1


def test_a_backlog_brings_workers_soon_and_its_end_takes_them_slowly() -> None:
    """More come after UP_SECONDS; fewer only DOWN_SECONDS after they are enough, one by one."""
    numbers, memory = run(UP_SECONDS + 4, 1, Memory(), backlog=40_000, worker_rate=100)
    assert numbers[0] == 1
    assert numbers[-1] == 2
    numbers, memory = run(20, 2, memory, backlog=40_000, worker_rate=100, start=10)
    assert numbers[-1] == 7
    numbers, _ = run(DOWN_SECONDS + 6, 7, memory, backlog=0, worker_rate=0, start=40)
    assert numbers[0] == 7
    assert numbers[-1] == 6


@given(st.integers(1, 300), st.integers(1, 300), st.none() | st.integers(0, 300))
def test_workers_are_added_only_with_a_connection_for_each(wanted: int, current: int, room: int | None) -> None:
    """More than now only as far as there is room beside the spare ones; taking away is never hindered."""
    allowed = within_room(wanted, current, room)
    assert min(wanted, current) <= allowed <= wanted
    if room is not None and allowed > current:
        assert allowed - current + SPARE <= room


@pytest.mark.parametrize("text", ["", "1", "0..3", "3..2", "1...3", "1..3\n", "٣..٤", "1..99999", "-1..2"])
def test_a_band_is_min_to_max(text: str) -> None:
    """Anything but MIN..MAX with 1 <= MIN <= MAX is refused."""
    with pytest.raises(ValueError, match=r"MIN\.\.MAX"):
        Band.parse(text, 60)
