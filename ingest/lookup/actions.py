"""Actions: lists, one in full, those of a run, and those before it that may be why it failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from ingest.lookup.database import NotStored, Reader, Row
from ingest.reads.paging import Page, Place
from schemas.kinds.formats import canonical_uuid

_NAMED: Final = re.compile(r'"?(?:recipe|role)\[([^\]@"]+)(?:@[^\]]*)?\]"?')
_SLACK: Final = timedelta(hours=1)
"""By which the clocks of a node and of its Chef server may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsWanted:
    """Actions recorded in [since, until) with these values; None: any. `entity` is a name, or the name of a parent."""

    since: datetime
    until: datetime
    organization: str | None = None
    entity: str | None = None
    type: str | None = None
    task: str | None = None
    requestor: str | None = None
    run_id: str | None = None
    rows: int = 50
    after: Place | None = None


def listed(reader: Reader, wanted: ActionsWanted) -> Page:
    """A page of actions, newest first."""
    names = ("since", "until", "organization", "entity", "type", "task", "requestor", "run_id")
    keys = {name: getattr(wanted, name) for name in names}
    return reader.page("actions.sql", "listed", wanted.rows, wanted.after, **keys)


def action(reader: Reader, action_id: str) -> Row:
    """One action, with the run that it was posted by, if that is known. Raises NotStored."""
    found = canonical_uuid(action_id)
    rows = reader.rows("actions.sql", "one", id=found) if found else []
    if not rows:
        raise NotStored("there is no such action; `chef-ingest actions list` shows those there are")
    named = canonical_uuid(rows[0]["remote_request_id"])
    runs = reader.rows("actions.sql", "known_run", run_id=named) if named else []
    return {**rows[0], "run_id": runs[0]["run_id"] if runs else None}


def of_run(reader: Reader, run: Row, most: int = 50) -> Page:
    """What was stored of what a run's client did on the server, newest first."""
    since, until = _span(run)
    return listed(reader, ActionsWanted(since=since, until=until, run_id=run["run_id"], rows=most))


def skipped_meanwhile(reader: Reader, run: Row) -> int:
    """How many actions the rule left out in the hours of a run, of all runs: each by itself leaves no row."""
    since, until = _span(run)
    [row] = reader.rows("actions.sql", "skipped", since=since, until=until)
    return int(row["actions"])


def before_run(reader: Reader, run: Row, hours: int, most: int = 50) -> Page:
    """Who changed what on the server, in its organization, in the hours before a run began and while it lasted."""
    until = (run["end_time"] or run["start_time"]) + timedelta(seconds=1)
    since = run["start_time"] - timedelta(hours=hours)
    return listed(reader, ActionsWanted(since=since, until=until, organization=run["organization"], rows=most))


def bears_on(action: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Whether an action changed what the run is made of: its node, a cookbook or role in its run list, its policy."""
    named = {action["entity_name"], action["parent_name"]} - {None}
    kinds = {action["entity_type"], action["parent_type"]}
    if "node" in kinds and run["node_name"] in named:
        return True
    if kinds & {"policy", "policy_group"} and named & {run["policy_name"], run["policy_group"]}:
        return True
    return bool(kinds & {"cookbook", "role"} and named & _names(run["run_list"], run["expanded_run_list"]))


def _names(*run_lists: str | None) -> set[str]:
    """Cookbooks and roles that run lists name; an expanded one has its recipes as plain names too."""
    found: set[str] = set()
    for text in run_lists:
        for name in _NAMED.findall(text or ""):
            found |= {name, name.partition("::")[0]}
        found |= {name.partition("::")[0] for name in re.findall(r'"name"\s*:\s*"([^"\\]+)"', text or "")}
    return found


def _span(run: Mapping[str, Any]) -> Sequence[datetime]:
    return run["start_time"] - _SLACK, (run["end_time"] or run["start_time"]) + _SLACK
