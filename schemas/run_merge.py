"""What the ends of one run come to: a client may finish and then fail, or reboot, and tell of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from schemas.validation.conflict import differences

REBOOT: Final = "Chef::Exceptions::Reboot"
"""The class of the exception by which a client ends a run whose recipes ask for a reboot."""


class End(Protocol):
    """What is looked at of an end, which is a kind's row."""

    @property
    def status(self) -> str: ...
    @property
    def start_time(self) -> str | None: ...
    @property
    def data(self) -> str: ...


class Ending(NamedTuple):
    """How a run has ended: the end that holds, and what the end said by which the client went on to reboot."""

    end: Any
    reboot: str | None


class Merged(NamedTuple):
    """`ending` is what holds now. With `differing`, field -> text, it is as before: what was sent is a conflict."""

    ending: Ending
    differing: Mapping[str, str]


def first(sent: End) -> Ending:
    """How a run has ended of which only this end is known."""
    return Ending(sent, sent.data if is_reboot(sent) else None)


def merge(standing: Ending, sent: End) -> Merged:
    """How a run has ended that had ended already.

    A client tells first that it finished and then that it failed, and messages overtake each other: a failure holds
    against a success, and a success against a reboot, whichever came first, so that the order makes no difference.
    Of two ends that tell the same outcome the first one stays, and another one is a conflict.
    """
    held = standing.end
    if _rank(held) == _rank(sent):
        return Merged(standing, differences(held, sent))
    if None not in (held.start_time, sent.start_time) and held.start_time != sent.start_time:
        return Merged(standing, {"start_time": f"stored {held.start_time!r}, sent {sent.start_time!r}"})
    told = [text for text in (standing.reboot, first(sent).reboot) if text is not None]
    return Merged(Ending(max(held, sent, key=_rank), max(told, default=None)), {})


def is_reboot(end: End) -> bool:
    """Whether the end tells of nothing but a reboot. Its class is plain text, or Ruby's `#<Class: message>`."""
    if end.status != "failure":
        return False
    try:
        said = msgspec.json.decode(end.data, type=_Data).exception.class_
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return said == REBOOT or said.startswith((f"#<{REBOOT}: ", f"#<{REBOOT}>"))


class _Exception(msgspec.Struct, rename={"class_": "class"}):
    class_: str


class _Data(msgspec.Struct):
    exception: _Exception


def _rank(end: End) -> int:
    if end.status == "success":
        return 1
    return 0 if is_reboot(end) else 2
