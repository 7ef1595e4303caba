"""The batcher loses nothing, keeps the order, and names what made it flush."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.worker.batcher import Batcher


def test_a_full_batch_is_due_at_once_and_says_size() -> None:
    """A batch of max_items is taken whatever its age."""
    batcher = Batcher[str](2, 1000, 60)
    batcher.add("a", 1, now=0)
    assert batcher.take(now=0) is None
    batcher.add("b", 1, now=0)
    batch = batcher.take(now=0)
    assert batch is not None
    assert (batch.items, batch.trigger, batch.bytes) == (("a", "b"), "size", 2)


def test_bytes_bound_a_batch_before_its_count_does() -> None:
    """No batch of two or more items is larger than max_bytes."""
    batcher = Batcher[str](10, 100, 60)
    batcher.add("a", 60, now=0)
    batcher.add("b", 60, now=0)
    batch = batcher.take(now=0)
    assert batch is not None
    assert (batch.items, batch.trigger) == (("a",), "bytes")
    assert (len(batcher), batcher.bytes) == (1, 60)


def test_one_item_larger_than_the_bound_goes_alone() -> None:
    """A single item over max_bytes is due at once, not stuck for ever."""
    batcher = Batcher[str](10, 100, 60)
    batcher.add("huge", 5000, now=0)
    batch = batcher.take(now=0)
    assert batch is not None
    assert batch.trigger == "bytes"


def test_age_idle_and_drain_flush_what_is_there() -> None:
    """A batch that is neither full nor heavy waits for its age, an empty inbox, or the end."""
    for arguments, trigger in (
        ({"now": 1.0}, "age"),
        ({"now": 0.0, "idle": True}, "idle"),
        ({"now": 0.0, "drain": True}, "drain"),
    ):
        batcher = Batcher[str](10, 100, 1.0)
        batcher.add("a", 1, now=0)
        assert batcher.take(now=0.5) is None
        batch = batcher.take(**arguments)  # type: ignore[arg-type]
        assert batch is not None
        assert batch.trigger == trigger


def test_an_empty_batcher_is_never_due() -> None:
    """Nothing gathered, nothing to commit."""
    assert Batcher[str](1, 1, 0).take(now=1e9, idle=True, drain=True) is None


@given(
    sizes=st.lists(st.integers(0, 200), max_size=60),
    max_items=st.integers(1, 10),
    max_bytes=st.integers(1, 300),
)
def test_draining_gives_back_every_item_once_in_order_within_the_bounds(
    sizes: list[int], max_items: int, max_bytes: int
) -> None:
    """Whatever goes in comes out once, in order, in batches that keep both bounds."""
    batcher = Batcher[int](max_items, max_bytes, 60)
    for number, size in enumerate(sizes):
        batcher.add(number, size, now=0)
    seen: list[int] = []
    while (batch := batcher.take(now=0, drain=True)) is not None:
        assert len(batch.items) <= max_items
        assert batch.bytes == sum(sizes[item] for item in batch.items)
        assert batch.bytes <= max_bytes or len(batch.items) == 1
        seen += batch.items
    assert seen == list(range(len(sizes)))
    assert batcher.bytes == 0


def test_after_a_crowd_a_batch_waits_for_another_crowd_but_not_long() -> None:
    """Smaller than the last one, an idle batch waits for `linger` seconds after its first item; as large, it goes."""
    batcher = Batcher[str](10, 1000, 60, linger=0.5)
    for item in "ab":
        batcher.add(item, 1, now=0)
    assert batcher.take(now=0, idle=True) is not None
    batcher.add("c", 1, now=1.0)
    assert batcher.patience(now=1.25) == 0.25
    assert batcher.take(now=1.25, idle=True) is None
    batch = batcher.take(now=1.5, idle=True)
    assert batch is not None
    assert batch.trigger == "idle"
    batcher.add("d", 1, now=2.0)
    assert batcher.patience(now=2.0) == 0
    assert batcher.take(now=2.0, idle=True) is not None, "a lone item after a lone item waits for nothing"


def test_a_lone_item_after_a_lone_item_does_not_wait_for_the_inbox_to_run_dry() -> None:
    """Somebody waits for it, and the look for more costs more than it finds; after a crowd one looks."""
    batcher = Batcher[str](10, 1000, 60, linger=0.5)
    batcher.add("a", 1, now=0)
    assert batcher.take(now=0) is None
    assert batcher.take(now=0, idle=True) is not None
    batcher.add("b", 1, now=1)
    assert batcher.take(now=1) is not None
    for item in "cd":
        batcher.add(item, 1, now=2)
    assert batcher.take(now=2) is None
