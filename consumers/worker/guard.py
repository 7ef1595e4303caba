"""A fault of our own code over one delivery is that delivery's letter, never the worker's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from consumers.broker.properties import Undecodable
from consumers.delivery import Judged
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.worker.intake import FAULT, fault_of
from schemas.doors import nameless
from schemas.labels import Doing
from schemas.verdict import Invalid, Unkept, Verdict

EXPECTED = (BrokerUnavailable, StoreUnavailable, Misconfigured)
"""What the loop is made to meet; everything else that is raised is a fault."""


class Commits(Protocol):
    """The part of a Store that is guarded."""

    def commit(self, items: Sequence[Judged]) -> list[Verdict]: ...


class FaultGuard:
    """Counts faults and logs them: the first of a kind with its traceback, so that a flood of one cause is no flood.

    `count` is told what was being done; it may be called from any thread.
    """

    def __init__(self, count: Callable[[Doing], None] = lambda _: None) -> None:
        self.count = count
        self._told: set[tuple[str, str, int]] = set()

    def fault(self, doing: Doing, error: BaseException) -> None:
        """One fault; raises nothing."""
        try:
            self.count(doing)
            kind = (doing, type(error).__name__, _line(error))
            first = kind not in self._told
            self._told.add(kind)
            log = structlog.get_logger()
            log.error("fault in a worker", doing=doing, error=repr(error)[:300], exc_info=error if first else None)
        except Exception:
            # Whoever can't even complain goes on working.
            return

    def tried(self, doing: Doing, step: Callable[[], None]) -> None:
        """Do what nothing else depends on; a fault in it is told, and that is all."""
        try:
            step()
        except EXPECTED:
            raise
        except Exception as error:
            self.fault(doing, error)


def _line(error: BaseException) -> int:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lineno if trace is not None else 0


def guarded_commit(store: Commits, items: Sequence[Judged], guard: FaultGuard) -> list[Verdict]:
    """What `store.commit` says; where that raises a fault, the items are halved until one stands alone.

    Alone it becomes a letter, in the end one of hardly more than its bytes. What is none even then is Unkept: nothing
    of it is in the database. Raises StoreUnavailable and Misconfigured as `commit`.
    """
    try:
        return store.commit(items)
    except EXPECTED:
        raise
    except Exception as error:
        if len(items) > 1:
            middle = len(items) // 2
            return guarded_commit(store, items[:middle], guard) + guarded_commit(store, items[middle:], guard)
        guard.fault("storing", error)
        return [_as_letter(store, items[0], error, guard)]


def _as_letter(store: Commits, item: Judged, error: Exception, guard: FaultGuard) -> Verdict:
    reason = item.judgement if isinstance(item.judgement, Invalid) else fault_of(error)
    for letter in (Judged(item.delivery, reason), _bare(item)):
        try:
            return store.commit([letter])[0]
        except EXPECTED:
            raise
        except Exception as again:
            error = again
    guard.fault("keeping a letter", error)
    fault = fault_of(error)
    return Unkept(fault.stage, fault.reason, fault.details)


def _bare(item: Judged) -> Judged:
    """The same bytes, and of the envelope only what no fault can hide in."""
    message = nameless(item.delivery.message.payload)
    delivery = msgspec.structs.replace(
        item.delivery, message=message, headers={}, exchange="", routing_key="",
        properties=Undecodable(b"", "left out: no letter could be made with it"),
    )  # fmt: skip
    return Judged(delivery, Invalid("crash", FAULT, {"message": "a fault in the worker, see its log"}))
