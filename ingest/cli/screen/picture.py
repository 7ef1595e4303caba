"""Draws `status` for a person: the verdict, then what is wrong, then the rest; as much of it as there is room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from ingest.cli.screen.tables import fitted
from ingest.cli.screen.trail import BARS, PLAIN_BARS, Trail, sparkline
from ingest.diagnostics.now.trend import AGE_MINUTES, FIVES, fives, told
from ingest.diagnostics.spool import line_of_spool
from schemas.printable import printable

_TRAIL_WIDTH = 24
_FOLDED = ("lane", "state", "deaths", "why")
"""Workers who have all of these alike are one line."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What was found, to be printed; `trail` is how it came to this, `now` says what o'clock it is, `said` is what a
    key has led to. Of a screen it takes the screen and no line more."""

    found: Mapping[str, Any]
    now: datetime
    trail: Trail | None = None
    said: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        bars = PLAIN_BARS if options.ascii_only else BARS
        parts = Group(*self._parts(options.max_width, bars))
        if self.trail is None or not console.is_terminal:
            yield parts
            return
        lines = console.render_lines(parts, options.update(height=None), pad=False)
        room = console.height
        if len(lines) > room:
            left = len(lines) - room + 1
            lines = [*lines[: room - 1], [Segment(f"... {left} more lines")]]
        for line in lines[:-1]:
            yield from line
            yield Segment.line()
        yield from lines[-1]

    def _parts(self, width: int, bars: str) -> Iterator[RenderableType]:
        found = self.found
        clock = "" if self.trail is None else f"{self.now.astimezone(UTC):%H:%M:%SZ}  "
        yield _text(clock + verdict(found), "bold red" if _wrong(found) else "bold green")
        if self.said:
            yield _text(self.said, "italic")
        yield from (_text(f"blocked: {line}", "bold") for line in found["blocked"])
        yield from (_text(f"not seen: {name}: {why}", "bold") for name, why in found["faults"].items())
        yield from (_text(_pause(each, self.now), "bold") for each in found["pauses"])
        yield from (_text(_warning(each)) for each in found["troubles"] if not each["blocks"])
        if self.trail is not None:
            yield from _history(self.trail, bars)
        if found["supervisor"]:
            yield from self._supervisor(found["supervisor"], width)
        if len(found["machines"]) > 1 or (found["machines"] and not found["supervisor"]):
            shown = ("host", "mode", "consuming", "in_hand", "rate", "heard", "version", "folder")
            yield fitted([_row(each) for each in found["machines"]], shown, width, self.now)[0]
        yield from _hour(found["trend"], bars)
        yield from _front(found)
        if found["queues"]:
            yield fitted(_queues(found["queues"]), ("queue", "ready", "consumers"), width, self.now)[0]
        if "database" not in found["faults"]:
            letters = ", ".join(f"{count} {name}" for name, count in sorted(found["letters"].items()))
            yield _text(f"letters: {letters}; partitions until {found['partitions_until'] or 'none'}")
        if found["causes"]:
            columns = ("letters", "stage", "reason", "fingerprint", "last_seen")
            yield fitted(found["causes"], columns, width, self.now)[0]

    def _supervisor(self, supervisor: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
        auto = f", auto {supervisor['auto']}" if supervisor["auto"] else ""
        yield _text(f"supervisor {supervisor['pid']} {supervisor['mode']}, {supervisor['wanted']} wanted{auto}")
        columns = ("pid", "lane", "state", "in_hand", "heard", "up", "deaths", "why")
        yield fitted(folded(supervisor["workers"]), columns, width, self.now)[0]
        if death := supervisor.get("last_death"):
            when = _span(death["seconds_ago"])
            yield _text(f"{supervisor['deaths']} deaths; the last {when} ago, {death['lane']}: {death['why']}")
        totals = ", ".join(f"{name} {count}" for name, count in sorted(supervisor["totals"].items()))
        yield _text(f"since its start: {totals or 'nothing yet'}")


def verdict(found: Mapping[str, Any]) -> str:
    """How it is, in one line."""
    wrong = [
        f"{len(found[name])} {word}" for name, word in (("blocked", "blocked"), ("faults", "not seen")) if found[name]
    ]
    machines = [each for each in found["machines"] if not each["stale"]]
    consuming = sum(each["consuming"] for each in machines)
    where = f" under {len(machines)} supervisors" if len(machines) > 1 else ""
    facts = [f"{consuming} workers consume{where}, {found['rate']:g} messages/s"] if machines else []
    if found["pauses"]:
        facts.insert(0, "PAUSED by an operator")
    if "broker" not in found["faults"]:
        facts.append(backlog(found))
    mode = found["supervisor"].get("mode", "running")
    word = f"TROUBLE ({', '.join(wrong)})" if wrong else "well" if mode == "running" else mode
    return f"{word}: {'; '.join(facts)}" if facts else word


def _pause(pause: Mapping[str, Any], now: datetime) -> str:
    what = "every queue" if pause["queue"] == "all" else f"queue {pause['queue']}"
    where = "everywhere" if pause["host"] == "all" else f"on {pause['host']}"
    since = _span((now - pause["since"]).total_seconds())
    return f"paused: {what} {where}, for {since}, by {pause['who']}: {pause['why']} (`{pause['remedy']}`)"


def _warning(trouble: Mapping[str, Any]) -> str:
    page = f" (docs/runbooks/{trouble['runbook']}.md)" if trouble["runbook"] else ""
    return f"wrong: {trouble['text']}{page}"


def _hour(trend: Mapping[str, Any], bars: str) -> Iterator[Text]:
    """How the last hour was, a bar for five minutes; nothing of what nobody told."""
    age, letters, refused = trend["age"], told(trend["letters"]), told(trend["refused"])
    lines = {
        "age_p99": age
        and f"age at commit p50 {_age(age['p50'])}, p99 {_age(age['p99'])} (of {AGE_MINUTES} min; bars: p99)",
        "letters": letters and f"open letters: {letters[0]} when the hour began, {letters[-1]} now",
        "refused": refused and f"{sum(refused)} answered 503 in the last hour",
    }
    for name, words in lines.items():
        if words:
            yield _text(f"{sparkline(fives(trend[name]), FIVES, bars)}  {words}")


def _age(seconds: int) -> str:
    return _span(seconds) if seconds else "below 1 s"


def _row(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **machine,
        "mode": "gone" if machine["stale"] else machine["mode"],
        "heard": "now" if machine["here"] else f"{_span(machine['silent_seconds'])} ago",
    }


def backlog(found: Mapping[str, Any]) -> str:
    """What waits, what workers have in hand, and how long it will take."""
    seconds = found["seconds_to_drain"]
    when = "nothing drains it" if seconds is None else f"{_span(seconds)} to drain"
    waiting = f"backlog {found['backlog']}" + (f", {when}" if found["backlog"] else "")
    return waiting + (f", {found['in_hand']} in hand" if found["in_hand"] else "")


def folded(workers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for all workers that are alike but for their pids, times and what they hold; in the order they came."""
    alike: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for worker in workers:
        alike.setdefault(tuple(worker[name] for name in _FOLDED), []).append(worker)
    return [
        {
            "pid": str(rows[0]["pid"] or "") + (f" +{len(rows) - 1}" if len(rows) > 1 else ""),
            **{name: rows[0][name] for name in _FOLDED},
            "in_hand": sum(row["in_hand"] for row in rows),
            "heard": f"{_span(max(row['silent_seconds'] for row in rows))} ago",
            "up": _span(min(row["up_seconds"] for row in rows)),
        }
        for rows in alike.values()
    ]


def _queues(queues: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """Those with something in them or nobody at them by name, those that are alike otherwise in one row."""
    rows = [{"queue": name, **facts} for name, facts in queues.items()]
    alike = Counter((row["ready"], row["consumers"]) for row in rows if not row["ready"])
    shown: dict[Any, dict[str, Any]] = {}
    for row in rows:
        facts = row["ready"], row["consumers"]
        if alike[facts] < 2:
            shown[row["queue"]] = row
        elif facts not in shown:
            shown[facts] = row | {"queue": f"{row['queue']} +{alike[facts] - 1}"}
    return sorted(shown.values(), key=lambda row: -row["ready"])


def _front(found: Mapping[str, Any]) -> Iterator[Text]:
    if found["shim"]:
        ready = "ready" if found["shim"].get("ready") else f"not ready: {found['shim'].get('why')}"
        yield _text(f"shim {found['shim']['url']}: {ready}")
    if found["spool"]:
        yield _text(line_of_spool(found["spool"]))


def _history(trail: Trail, bars: str) -> Iterator[Text]:
    for name, values in (("backlog", trail.backlogs), ("rate", trail.rates)):
        if values:
            line = sparkline(values, _TRAIL_WIDTH, bars)
            yield _text(f"{name:<8}{line:<{_TRAIL_WIDTH}}  now {values[-1]:g}, at most {max(values):g}")


def _wrong(found: Mapping[str, Any]) -> bool:
    return bool(found["blocked"] or found["faults"])


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"


def _text(line: str, style: str = "") -> Text:
    return Text(printable(line), style=style)
