"""Runs: how they went hour by hour, what they failed of, one with all that led to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request

from ingest.console.marked import diff
from ingest.console.pages import Shown
from ingest.console.views.asked import Question, asked
from ingest.console.views.chart import bars
from ingest.console.views.machine import Machine
from ingest.lookup import actions, runs
from ingest.lookup.causes import exception
from ingest.lookup.database import Reader, Row, reading
from ingest.lookup.runs import HOURS_BEFORE, RunsWanted, aborted_before
from schemas.labels import RUN_STATUSES

_MOST_HOURS = 24 * 14
"""Of the histogram; a longer window has none."""
_RESOURCES = 100


def show(machine: Machine, request: Request) -> Shown:
    """A list by filters, the histogram of its window, and the causes of its failures."""
    wanted = asked(request)
    aborted = aborted_before(machine.settings, wanted.now)
    window = _wanted(wanted)
    with reading(machine.settings) as reader:
        page = runs.listed(reader, window, aborted)
        first = window.after is None
        causes = runs.errors(reader, window)[:12] if first and window.status in (None, "failure") else []
        hours = _hours(reader, window, aborted) if first else []
    facts = {"asked": wanted, "rows": page.rows, "next": wanted.next(page.last), "causes": causes}
    return Shown("runs.html", facts | {"hours": hours, "statuses": RUN_STATUSES, "since": window.since})


def _wanted(wanted: Question) -> RunsWanted:
    since, until = wanted.window()
    return RunsWanted(
        since=since,
        until=until,
        organization=wanted.text("organization"),
        node=wanted.text("node"),
        status=wanted.choice("status", RUN_STATUSES),
        after=wanted.place(),
    )


def _hours(reader: Reader, window: RunsWanted, aborted: datetime) -> list[dict[str, Any]]:
    first = window.since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    last = min(window.until, datetime.now(UTC)).astimezone(UTC)
    if last - first > timedelta(hours=_MOST_HOURS):
        return []
    counted = {row["hour"]: row for row in runs.hours(reader, window, aborted)}
    return bars(counted, first, last, RUN_STATUSES)


def show_one(machine: Machine, request: Request) -> Shown:
    """One run: its resources, its exception, its actions, and who changed what before it."""
    wanted = asked(request)
    hours = min(wanted.number("hours") or HOURS_BEFORE, 168)
    with reading(machine.settings) as reader:
        run = runs.run(reader, request.path_params["run"], aborted_before(machine.settings, wanted.now))
        after = wanted.number("after")
        resources, last = runs.resources(reader, run["run_id"], -1 if after is None else after % 2**31, _RESOURCES)
        own = actions.of_run(reader, run)
        before = actions.before_run(reader, run, hours)
        skipped = actions.skipped_meanwhile(reader, run)
    facts = {
        "run": run,
        "asked": wanted,
        "resources": [{**each, "diff": diff(each["delta"])} for each in resources],
        "next": wanted.next(last),
        "exception": exception(run["data"]),
        "run_list": _run_list(run),
        "own": own,
        "skipped": skipped,
        "during_run": machine.settings.during_run,
        "hours": hours,
        "before": [{**each, "bears": actions.bears_on(each, run)} for each in before.rows],
        "more_before": before.last is not None,
    }
    return Shown("run.html", facts)


def _run_list(run: Row) -> list[str]:
    """The run list's entries; what is no list, as it is."""
    try:
        read = json.loads(run["run_list"] or "[]")
    except (ValueError, RecursionError):
        return [run["run_list"]]
    return [str(each) for each in read[:500]] if isinstance(read, list) else [run["run_list"]]
