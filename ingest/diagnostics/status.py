"""`status`: what the system is doing, gathered from the broker, the database and the supervisor; each may be away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from consumers.broker.connection import connect
from consumers.broker.queues import look_at_queues
from consumers.database import statements
from consumers.database.connection import Purpose, session
from consumers.database.partitions import Partitions
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.machines.pauses import pauses
from consumers.machines.samples import samples
from consumers.machines.supervisors import supervisors
from consumers.machines.view import machines
from consumers.supervisor.control import ControlError, NoSupervisor, ask
from consumers.supervisor.monitor import WORK, look_at_letters
from consumers.supervisor.roster import Roster
from ingest.diagnostics.now.blocked import blocked
from ingest.diagnostics.now.trend import trend
from ingest.diagnostics.now.troubles import troubles
from ingest.diagnostics.shim import look_at_shim, own_url
from ingest.diagnostics.spool import look_at_spool
from schemas.settings import Settings
from schemas.topology import PREFETCH

_PURPOSE: Final = Purpose("chef-ingest status", statement=10, silence=12)


def gather(settings: Settings, state: Path, shim_url: str = "", spool: Path | None = None) -> dict[str, Any]:
    """Everything there is to see; what can't be asked says why under `faults`. A shim may be elsewhere, and its spool
    with it."""
    faults: dict[str, str] = {}
    found: dict[str, Any] = {
        "faults": faults,
        "queues": {},
        "supervisor": {},
        "letters": {},
        "causes": [],
        "pauses": [],
        "trend": trend(()),
        "doors": {},
        "written": {},
    }
    absent = False
    try:
        found["supervisor"] = ask(state, {"verb": "status"})
    except ControlError as error:
        faults["supervisor"], absent = str(error), isinstance(error, NoSupervisor)
    found["shim"] = look_at_shim(shim_url or own_url(settings))
    found["spool"] = look_at_spool(spool, settings.collector_spool_bytes)
    try:
        found["queues"] = _queues(settings)
    except (BrokerUnavailable, Misconfigured) as error:
        faults["broker"] = str(error)
    try:
        found |= _database(settings)
    except (StoreUnavailable, Misconfigured) as error:
        faults["database"] = str(error)
    found["machines"] = machines(found["supervisor"], found.pop("told", ()), Roster(state).home)
    if absent and any(not each["stale"] for each in found["machines"]):
        # Looked at from where none has to be.
        del faults["supervisor"]
    found["prefetch"] = sum(getattr(settings, prefetch) for prefetch in PREFETCH.values())
    found["in_hand"] = sum(each["in_hand"] for each in found["machines"])
    found["rate"] = round(sum(each["rate"] for each in found["machines"] if not each["stale"]), 1)
    found["backlog"] = sum(found["queues"].get(name, {}).get("ready", 0) for name in WORK)
    found["seconds_to_drain"] = _to_drain(found)
    wrong = troubles(found, settings, datetime.now(UTC))
    found["blocked"] = [each.text for each in blocked(found)]
    found["troubles"] = [each._asdict() for each in wrong]
    return found


def _queues(settings: Settings) -> dict[str, dict[str, int]]:
    connection = connect(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest status")
    try:
        queues = look_at_queues(connection)
    finally:
        connection.close()
    return {name: {"ready": ready, "consumers": consumers} for name, (ready, consumers) in queues.items()}


def _database(settings: Settings) -> dict[str, Any]:
    letters = look_at_letters(settings.database_url)
    named = statements.load("ingest.diagnostics", "status.sql")
    with session(settings.database_url, _PURPOSE) as connection:
        rows = connection.execute(named["causes"].encode()).fetchall()
        doors = dict(connection.execute(named["doors"].encode()).fetchall())
        written = dict(connection.execute(named["written"].encode()).fetchall())
        told, paused, hour = supervisors(connection), pauses(connection), samples(connection)
    names = ("fingerprint", "stage", "reason", "letters", "last_seen")
    partitions = [each["to"] for each in Partitions(settings.database_url).listed() if each["to"]]
    return {
        "letters": letters,
        "told": told,
        "trend": trend(hour),
        "doors": doors,
        "written": written,
        "pauses": [each.described() for each in paused],
        "causes": [dict(zip(names, row, strict=True)) for row in rows],
        "partitions_until": max(partitions, default=None),
    }


def _to_drain(found: Mapping[str, Any]) -> float | None:
    """Seconds until the backlog is gone at the present rate; None where nothing moves."""
    rate = found["rate"]
    if not found["backlog"]:
        return 0.0
    return round(found["backlog"] / rate, 1) if rate else None
