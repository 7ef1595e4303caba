"""What the loop stands on, as contracts: a Source of deliveries, a Store that commits them, an Outbox that sends on.

`memory` keeps them on plain values; RabbitMQ and PostgreSQL keep them in AmqpSource, PostgresStore and AmqpOutbox.
The tests in tests/contract hold both to every sentence here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from consumers.delivery import Delivery, Judged
from consumers.machines.pauses import Pause
from schemas.verdict import Verdict


class Source(Protocol):
    """The worker's inbox: every message of its queues comes once, and comes again unless it is acknowledged.

    A queue gives its prefetch of unacknowledged deliveries at most, oldest first, `tag` counting up from 1. What is
    unacknowledged when the source closes, or its owner dies, goes back, and its `deliveries` is one more then.
    All but `wake` belong to one thread, and all but `wake`, `stopped` and `close` raise BrokerUnavailable once
    the broker is gone.
    """

    @property
    def generation(self) -> int:
        """Tells this source's tags from an older one's."""
        ...

    def poll(self, timeout: float) -> list[Delivery]:
        """What has come, waiting up to `timeout` seconds for the first; heartbeats go on while it is called."""
        ...

    def wake(self) -> None:
        """Make a waiting `poll` return now; any thread may."""
        ...

    def acknowledge(self, deliveries: Iterable[Delivery], *, whole_prefix: bool) -> None:
        """These never come again. Those of an older generation are left: the broker has them back already.

        `whole_prefix`: nothing older is in hand, so that everything up to the youngest is meant.
        """
        ...

    def make_room(self, queue: str, held: int) -> None:
        """`held` deliveries of a queue stay in hand for long: go on with as many others as its prefetch, or half."""
        ...

    def hold(self, queues: Collection[str]) -> None:
        """Ask for no more of these, and again for those that were held before; what is under way is still polled.

        It may take a while, or be passed over: say it again and again.
        """
        ...

    def stop_consuming(self) -> None:
        """Ask for no more; what is under way is still polled, and can be acknowledged."""
        ...

    @property
    def stopped(self) -> bool:
        """After `stop_consuming`: nothing more is under way."""
        ...

    def close(self) -> None:
        """Give back what is unacknowledged, and leave; raises nothing, and may be called twice."""
        ...


class Store(Protocol):
    """Keeps what is committed. Not for two threads at once."""

    def connect(self) -> None:
        """Be ready to commit: the database answers and can be written to, or StoreUnavailable or Misconfigured."""
        ...

    def commit(self, items: Sequence[Judged]) -> list[Verdict]:
        """All in one transaction, rows and letters, a verdict each, in order; returns only once it is committed.

        The same message again is the same row, `Created(duplicate=True)`; the same id with other content is a
        Conflict and a letter. An Invalid is a letter, unless there are too many and its sender waits: then it is
        `told`. One row's refusal is its own Invalid, and spares its batch.
        Raises StoreUnavailable: nothing was committed, or it is not known; the same items may be committed again.
        Raises Misconfigured: a person has to change something.
        """
        ...

    def make_partitions(self) -> list[str]:
        """Prepare the months to come; what was made. Raises as `commit`."""
        ...

    def fill_partition(self) -> tuple[str, int, bool] | None:
        """A step towards a month whose rows came before it was prepared; None: nothing is left. Raises as `commit`."""
        ...

    def prune_letters(self) -> Mapping[str, int]:
        """Delete some of what was settled long ago; how many letters by state, none: that was all. Raises as
        `commit`."""
        ...

    def sum_drift(self) -> bool:
        """Sum up some of the counts of drift; whether there may be more. Raises as `commit`."""
        ...

    def count_late_runs(self, seconds: float) -> bool:
        """Count, of so many past seconds at most, the actions stored before their run was known; whether there may be
        more. Raises as `commit`."""

    def pauses(self) -> Sequence[Pause]:
        """What operators hold back. Raises as `commit`."""
        ...

    def close(self) -> None:
        """Leave; `connect` comes back."""
        ...


class Outbox(Protocol):
    """What leaves the worker: answers, which may be lost, and moves, which may not."""

    def reply(self, verdicts: Iterable[tuple[Delivery, Verdict]]) -> bool:
        """Tell whoever waits for these; best effort, raises nothing: who hears nothing answers 202, which is true.

        Whether the broker was given all of it.
        """
        ...

    def listening(self, reply_to: str) -> bool:
        """Whether the shim behind a `reply_to` is still there. Raises nothing."""
        ...

    def quarantine(self, delivery: Delivery) -> None:
        """Have a suspect in the quarantine queue, bytes and envelope unchanged; returns once the broker has it.

        Raises BrokerUnavailable where it did not take it, or that is not known: the delivery is still ours then;
        NeverTaken where it won't take it ever.
        """
        ...

    def park(self, delivery: Delivery, why: str) -> None:
        """Have the bytes of what can't become a letter kept for a person, with the reason. Raises as `quarantine`."""
        ...

    def delay(self, delivery: Delivery) -> None:
        """Have a run end come again after the delay, with one more of its `retries`. Raises as `quarantine`."""
        ...

    def tick(self) -> None:
        """Keep the connection alive; call it often, it never waits."""
        ...

    def close(self) -> None:
        """Leave the broker."""
        ...
