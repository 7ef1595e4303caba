"""Gathers judged messages into a batch and says when, and why, it is to be committed; it is told the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from consumers.delivery import Batch
from schemas.labels import Trigger

T = TypeVar("T")


@dataclass(slots=True)
class Batcher(Generic[T]):
    """At most `max_items` items or `max_bytes` bytes (one item may exceed it alone), none older than `max_age`.

    A batch is due as soon as the inbox runs dry, unless the last one was larger: then more is about to come, as
    a rule, and it waits for that, `linger` at most. A lone item after a lone item is due at once. Times are
    seconds on any one clock.
    """

    max_items: int
    max_bytes: int
    max_age: float
    linger: float = 0.0
    _last: int = 0
    _items: list[T] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _since: float = 0.0
    bytes: int = 0
    """Payload bytes waiting."""

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, size: int, now: float) -> None:
        """Take an item in; its age counts from now."""
        if not self._items:
            self._since = now
        self._items.append(item)
        self._sizes.append(size)
        self.bytes += size

    def put_back(self, item: T, size: int, now: float) -> None:
        """Take in, before all others, an item that is older than they are."""
        if not self._items:
            self._since = now
        self._items.insert(0, item)
        self._sizes.insert(0, size)
        self.bytes += size

    def take(self, now: float, *, idle: bool = False, drain: bool = False) -> Batch[T] | None:
        """The next batch, if one is due. `idle`: the inbox has run dry; `drain`: we are stopping."""
        if not self._items:
            return None
        count, size = self._fitting()
        trigger = self._trigger(count, now, idle, drain)
        if trigger is None:
            return None
        items = tuple(self._items[:count])
        del self._items[:count], self._sizes[:count]
        self.bytes -= size
        self._last = count
        return Batch(items, size, trigger)

    def patience(self, now: float) -> float:
        """How long what is here may still wait for more."""
        return max(0.0, self._since + self.linger - now) if len(self._items) < self._last else 0.0

    @property
    def _lone(self) -> bool:
        """One item after one item: there is no crowd to look for."""
        return len(self._items) == 1 == self._last

    def _fitting(self) -> tuple[int, int]:
        if len(self._items) <= self.max_items and self.bytes <= self.max_bytes:
            return len(self._items), self.bytes
        count = size = 0
        for each in self._sizes[: self.max_items]:
            if count and size + each > self.max_bytes:
                break
            count, size = count + 1, size + each
        return count, size

    def _trigger(self, count: int, now: float, idle: bool, drain: bool) -> Trigger | None:
        if count == self.max_items:
            return "size"
        if count < len(self._items) or self.bytes >= self.max_bytes:
            return "bytes"
        if drain:
            return "drain"
        if self._lone or (idle and not self.patience(now)):
            return "idle"
        if now - self._since >= self.max_age:
            return "age"
        return None
