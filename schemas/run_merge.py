"""What the messages about one run come to, by whichever doors, in whatever order and however often: one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from schemas.kinds.columns import Boolean, Integer, Json, Text, Time, Uuid
from schemas.validation.conflict import differences

REBOOT: Final = "Chef::Exceptions::Reboot"
"""The class of the exception by which a client ends a run whose recipes ask for a reboot."""

Teller = Literal["reports", "collector"]
"""The door by which a message tells of a run."""
REPORTS: Final[Teller] = "reports"
COLLECTOR: Final[Teller] = "collector"
_BOTH: Final = "both"


class Start(NamedTuple):
    """Columns of `runs`: whose the run is, since when, and what is told with the start.

    `started_by` is the doors that told of the start: `reports`, `collector`, `both`, or None. A time that nobody told
    is guessed, by when it was received; what does not tell of the start has None. `door_mismatch`: two doors told of
    different nodes or organizations.
    """

    run_id: Uuid
    organization: Text
    node_name: Text
    start_time: Time | None
    start_guessed: Boolean = False
    started_by: Text | None = None
    start_extra: Json | None = None
    collector_start_extra: Json | None = None
    entity_uuid: Text | None = None
    source: Text | None = None
    chef_server_fqdn: Text | None = None
    client_version: Text | None = None
    door_mismatch: Boolean = False


class End(NamedTuple):
    """Columns of `runs`: how it ended. `ended_by` is the doors that told of the end that holds."""

    status: Text
    end_time: Time
    data: Json
    ended_by: Text
    end_guessed: Boolean = False
    end_start_time: Time | None = None
    run_list: Text | None = None
    expanded_run_list: Text | None = None
    total_res_count: Integer | None = None
    updated_res_count: Integer | None = None
    resource_counts: Json | None = None
    policy_name: Text | None = None
    policy_group: Text | None = None
    end_extra: Json | None = None
    collector_end_extra: Json | None = None
    reboot: Json | None = None


class Run(NamedTuple):
    """A run as it is stored, or as one message tells of it: `end` is None where it has not ended, or is not told.

    `sent` is the end as the row of its kind, as long as one door alone has told of it: by it a repeated end is told
    from another one. `resources` are rows of `run_resources`; None: those that are stored.
    """

    start: Start
    end: End | None = None
    sent: Any = None
    resources: tuple[Any, ...] | None = None


class Merged(NamedTuple):
    """`run` is what holds now. With `differing`, field -> text, it is as before: what was told is a conflict."""

    run: Run
    differing: Mapping[str, str] = {}


def first(told: Run) -> Run:
    """A run of which only this message tells."""
    end = told.end
    if end is None or (reboot := _reboot(end)) is None:
        return told
    return told._replace(end=end._replace(reboot=reboot))


def is_strangers(known: Run, told: Run, teller: Teller) -> bool:
    """Whether the message is another node's, which only happens to name this run.

    A door never tells of one run under two names; two doors may (one reads the URL, the other the body), and then
    the first name stays.
    """
    if whose(known) == whose(told) or known.start.door_mismatch:
        return False
    return teller in _tellers(known.start.started_by) | _tellers(known.end and known.end.ended_by)


def whose(run: Run) -> tuple[str, str]:
    """Organization and node."""
    return run.start.organization, run.start.node_name


def merge(known: Run, told: Run, teller: Teller) -> Merged:
    """What holds of a run of which more is told; not for a stranger's message.

    Messages overtake each other, so nothing hangs on their order. A client may tell first that it finished and then
    that it failed: a failure holds against a success, and a success against a reboot. Of two ends by one door with
    the same outcome the first one stays, and another one is a conflict; by two doors they are one end.
    """
    merged = known if told.end is None else _ended(known, told, told.end, teller)
    if not isinstance(merged, Run):
        return Merged(known, merged)
    start = _started(known.start, told.start, teller)
    return Merged(known if merged is known and start is known.start else merged._replace(start=start))


def is_reboot(end: End) -> bool:
    """Whether the end tells of nothing but a reboot. Its class is plain text, or Ruby's `#<Class: message>`."""
    if end.status != "failure":
        return False
    try:
        said = msgspec.json.decode(end.data, type=_Data).exception.class_
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return said == REBOOT or said.startswith((f"#<{REBOOT}: ", f"#<{REBOOT}>"))


def _started(known: Start, told: Start, teller: Teller) -> Start:
    if told.started_by is not None and teller in _tellers(known.started_by):
        return known  # A start that comes again: clients repeat one whose answer they did not get.
    if told.start_time is None and told[1:3] == known[1:3]:
        return known
    times = [(each.start_guessed, each.start_time) for each in (known, told) if each.start_time is not None]
    guessed, start_time = min(times)
    agreed: dict[str, Any] = {name: _either(min, getattr(known, name), getattr(told, name)) for name in _AGREED}
    both = known._replace(
        start_time=start_time,
        start_guessed=guessed,
        started_by=_together(known.started_by, told.started_by),
        door_mismatch=known.door_mismatch or known[1:3] != told[1:3],
        **agreed,
    )
    return known if both == known else both


def _ended(known: Run, told: Run, sent: End, teller: Teller) -> Run | Mapping[str, str]:
    """The run with the end that holds, its start aside; or what differs."""
    held = known.end
    if held is None:
        return first(told)
    if _rank(held) == _rank(sent):
        if teller in _tellers(held.ended_by):
            return _differing(_under_its_name(known, told), told.sent, held, sent) or known
        return _one_end(known, held, told, sent, teller)
    if None not in (held.end_start_time, sent.end_start_time) and held.end_start_time != sent.end_start_time:
        return {"start_time": f"stored {held.end_start_time!r}, sent {sent.end_start_time!r}"}
    run, end = max((known, held), (told, sent), key=lambda pair: _rank(pair[1]))
    return run._replace(end=end._replace(reboot=_either(max, held.reboot, _reboot(sent))))


def _under_its_name(known: Run, told: Run) -> Any:
    """The stored end; where doors name the run otherwise, by the name under which it comes again."""
    if known.sent is None or told.sent is None or not known.start.door_mismatch:
        return known.sent
    return known.sent._replace(organization=told.start.organization, node_name=told.start.node_name)


def _differing(stored: Any, again: Any, held: End, sent: End) -> Mapping[str, str]:
    """What a door tells otherwise than it did before; of what it told beside another door only the time is left."""
    if stored is not None and again is not None:
        return differences(stored, again)
    if held.end_guessed or sent.end_guessed or held.end_time == sent.end_time:
        return {}
    return {"end_time": f"stored {held.end_time!r}, sent {sent.end_time!r}"}


def _one_end(known: Run, held: End, told: Run, sent: End, teller: Teller) -> Run:
    """The same end by the other door: the collector's word before Reporting's, which has less of it."""
    pairs = ((told, sent), (known, held)) if teller == COLLECTOR else ((known, held), (told, sent))
    (_, ours), (_, theirs) = pairs
    timed = theirs if ours.end_guessed else ours
    # What is counted as updated is what can be read of it.
    rows = next((pair for pair in pairs if pair[1].updated_res_count), pairs[0])
    first_told = (mine if mine is not None else other for mine, other in zip(ours, theirs, strict=True))
    end = End._make(first_told)._replace(
        ended_by=_BOTH,
        end_time=timed.end_time,
        end_guessed=timed.end_guessed,
        updated_res_count=rows[1].updated_res_count,
        reboot=_either(max, held.reboot, _reboot(sent)),
    )
    return Run(known.start, end, None, rows[0].resources)


class _Exception(msgspec.Struct, rename={"class_": "class"}):
    class_: str


class _Data(msgspec.Struct):
    exception: _Exception


def _reboot(end: End) -> str | None:
    return end.data if is_reboot(end) else None


def _rank(end: End) -> int:
    if end.status == "success":
        return 1
    return 0 if is_reboot(end) else 2


_AGREED: Final = (
    "start_extra", "collector_start_extra", "entity_uuid", "source", "chef_server_fqdn", "client_version",
)  # fmt: skip
"""Doors tell the same of these; where they don't, the text that sorts first, so that no order makes a difference."""

T = TypeVar("T")


def _either(chosen: Callable[[T, T], T], one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return chosen(one, other)


def _tellers(doors: str | None) -> frozenset[str]:
    return _TELLERS[doors]


_TELLERS: Final[Mapping[str | None, frozenset[str]]] = {
    None: frozenset(), REPORTS: frozenset((REPORTS,)), COLLECTOR: frozenset((COLLECTOR,)),
    _BOTH: frozenset((REPORTS, COLLECTOR)),
}  # fmt: skip


def _together(one: str | None, other: str | None) -> str | None:
    doors = _tellers(one) | _tellers(other)
    return _BOTH if len(doors) > 1 else next(iter(doors), None)
