"""All that is wrong, by what `status` has seen: what blocks, and what the alerts would say, by their bounds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from consumers.supervisor.monitor import WORK
from ingest.diagnostics.database import NEAR
from ingest.diagnostics.now.blocked import Trouble, blocked, paused
from ingest.diagnostics.now.trend import AGE_MINUTES, lately, told
from schemas.labels import RUN_STATUSES
from schemas.settings import Settings

UNSEEN: Final = frozenset({"ChefIngestShimFull"})
"""Alerts on what only the metrics of shims tell."""

_STALLED_MINUTES: Final = 3
_REFUSED: Final = 0.05
_BEHIND_SECONDS: Final = 300
_NEW_LETTERS: Final = 50
_NODES: Final = 0.05
_DUPLICATES: Final = 0.2
_ABORTED: Final = RUN_STATUSES[-1]
_SPOOLED_SECONDS: Final = 300
_DEATHS: Final = 3
_HOUR: Final = 60

_Seen = Mapping[str, Any]


def troubles(found: _Seen, settings: Settings, now: datetime) -> list[Trouble]:
    """What could not be seen first, then what blocks, then the rest; empty: nothing is wrong."""
    wrong = [*_unseen(found), *blocked(found)]
    for sign in _SIGNS:
        wrong += sign(found, settings, now)
    return wrong


def _unseen(found: _Seen) -> Iterator[Trouble]:
    remedies = {
        "broker": ("start RabbitMQ, or correct AMQP_URL", "ChefIngestRefusing"),
        "database": ("start PostgreSQL, or correct DATABASE_URL", "ChefIngestPaused"),
        "supervisor": ("start `chef-ingest consume`", "ChefIngestSupervisorGone"),
    }
    for part, why in found["faults"].items():
        remedy, runbook = remedies[part]
        yield Trouble(f"{part} not seen: {why}: {remedy}", runbook, True)


def _consumers(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    for name in WORK:
        queue = found["queues"].get(name)
        if queue and not queue["ready"] and not queue["consumers"] and not paused(name, found["pauses"]):
            yield Trouble(f"nobody consumes {name}: start `chef-ingest consume`", "ChefIngestNoConsumers")


def _stalled(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    trend = found["trend"]
    latest = list(zip(trend["backlog"], trend["messages"], strict=True))[-_STALLED_MINUTES:]
    if found["backlog"] and not found["pauses"] and all(waiting and done == 0 for waiting, done in latest):
        text = f"messages wait, and none has been committed for {_STALLED_MINUTES - 1} minutes: see what workers say"
        yield Trouble(text, "ChefIngestNoCommits")


def _alarm(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    if found["shim"].get("why") == "blocked":
        text = "an alarm of RabbitMQ forbids publishing, POSTs are answered 503: free memory or disk there"
        yield Trouble(text, "ChefIngestBrokerAlarm")


def _refusing(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    requests, refused = (lately(found["trend"][name], 5) for name in ("requests", "refused"))
    if requests and refused > _REFUSED * requests:
        text = f"{refused:.0f} of {requests:.0f} requests of the last five minutes were answered 503"
        yield Trouble(f"{text}: see why the shims are not ready", "ChefIngestRefusing")


def _behind(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    age = found["trend"]["age"]
    if age and age["p99"] > _BEHIND_SECONDS:
        old = f"{age['p99']} s old when it was committed, in the last {AGE_MINUTES} minutes"
        yield Trouble(
            f"one message in a hundred was {old}: more workers (`chef-ingest scale +1`), or wait after an outage",
            "ChefIngestBehind",
        )


def _growing(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    before, now_open = told(found["trend"]["letters"])[:1], found["letters"].get("open")
    if before and now_open is not None and now_open - before[0] > _NEW_LETTERS:
        text = f"{now_open - before[0]} more open letters than an hour ago"
        yield Trouble(f"{text}: see their causes (`chef-ingest dead groups`)", "ChefIngestLettersGrowing")


def _near_bound(found: _Seen, settings: Settings, _now: datetime) -> Iterator[Trouble]:
    beyond = "beyond that none is kept of what its sender is told: mend what sends them (`chef-ingest dead groups`)"
    kept, fullest = sum(found["letters"].values()), _most(found, "letters_of_hour")
    if settings.letters_max and kept > NEAR * settings.letters_max:
        text = f"{kept} letters, INGEST_LETTERS_MAX={settings.letters_max}: {beyond}"
        yield Trouble(text, "ChefIngestLettersNearBound")
    if settings.letters_per_hour and fullest > NEAR * settings.letters_per_hour:
        text = (
            f"{fullest} letters of one organization in this hour, INGEST_LETTERS_PER_HOUR={settings.letters_per_hour}"
        )
        yield Trouble(f"{text}: {beyond}", "ChefIngestLettersNearBound")


def _nodes(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    nodes = max((each.get("nodes") or {} for each in _heard(found)), key=lambda each: sum(each.values()), default={})
    every, missing, aborted = sum(nodes.values()), _most(found, "nodes_missing"), nodes.get(_ABORTED, 0)
    if missing > _NODES * every:
        text = f"{missing} of {every} nodes are missing: see which (`chef-ingest nodes list --missing 24h`)"
        yield Trouble(text, "ChefIngestNodesMissing")
    if aborted > _NODES * every:
        text = (
            f"the latest runs of {aborted} of {every} nodes never told their end: see which (`chef-ingest runs list`)"
        )
        yield Trouble(text, "ChefIngestRunsAborted")


def _repeated(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    repeated, messages = (lately(found["trend"][name], 30) for name in ("duplicates", "messages"))
    if messages and repeated > _DUPLICATES * messages:
        text = f"{repeated:.0f} of {messages:.0f} messages of the last half hour had been stored before"
        yield Trouble(f"{text}: see who sends them again", "ChefIngestManyDuplicates")


def _spooled(found: _Seen, _settings: Settings, now: datetime) -> Iterator[Trouble]:
    oldest = found["spool"].get("oldest")
    if oldest and (now - datetime.fromisoformat(oldest).astimezone(UTC)).total_seconds() > _SPOOLED_SECONDS:
        text = f"{found['spool']['messages']} messages wait in the spool since {oldest}: bring the broker back"
        yield Trouble(text, "ChefIngestSpoolWaiting")


def _keyless(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    if keyless := lately(found["trend"]["keyless"], _HOUR):
        text = f"{keyless:.0f} signed requests of the last hour were refused for want of a key: `chef-ingest keys sync`"
        yield Trouble(text, "ChefIngestKeyless")


def _dying(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    if (deaths := lately(found["trend"]["deaths"], 15)) > _DEATHS:
        text = f"{deaths:.0f} workers died in the last quarter of an hour: see of what (`chef-ingest status`)"
        yield Trouble(text, "ChefIngestWorkersDying")


def _faults(found: _Seen, _settings: Settings, _now: datetime) -> Iterator[Trouble]:
    if faults := lately(found["trend"]["faults"], _HOUR):
        text = f"{faults:.0f} faults of our own code in the last hour; their messages are letters: report them"
        yield Trouble(text, "ChefIngestWorkerFaults")


def _heard(found: _Seen) -> list[Mapping[str, Any]]:
    return [each for each in found["machines"] if not each["stale"]]


def _most(found: _Seen, name: str) -> int:
    """The highest that a supervisor tells; all of them see the same."""
    return max((each.get(name) or 0 for each in _heard(found)), default=0)


_SIGNS: Final[tuple[Callable[[_Seen, Settings, datetime], Iterator[Trouble]], ...]] = (
    _consumers, _stalled, _alarm, _refusing, _behind, _growing, _near_bound, _nodes, _repeated, _spooled, _keyless,
    _dying, _faults,
)  # fmt: skip
