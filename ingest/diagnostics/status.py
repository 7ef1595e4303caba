"""`status`: what the system is doing, gathered from the broker, the database and the supervisor; each may be away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from consumers.broker.connection import connect
from consumers.broker.queues import look_at_queues
from consumers.database import statements
from consumers.database.connection import Purpose, session
from consumers.database.partitions import Partitions
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.machines.pauses import pauses
from consumers.machines.supervisors import supervisors
from consumers.machines.view import machines
from consumers.supervisor.control import ControlError, NoSupervisor, ask
from consumers.supervisor.monitor import WORK, look_at_letters
from consumers.supervisor.roster import Roster
from consumers.supervisor.slot import SILENT_SECONDS
from ingest.diagnostics.broker import PARKED_REMEDY, UNCONFIRMED, WAL_REMEDY
from ingest.diagnostics.shim import look_at_shim, own_url
from ingest.diagnostics.spool import blocked_in_spool, look_at_spool
from schemas.labels import HELD_UP, LANES
from schemas.settings import Settings
from schemas.topology import PARKED, PREFETCH, TOPOLOGY

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
    found["blocked"] = list(_blocked(found))
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
    causes = statements.load("ingest.diagnostics", "status.sql")["causes"]
    with session(settings.database_url, _PURPOSE) as connection:
        rows = connection.execute(causes.encode()).fetchall()
        told, paused = supervisors(connection), pauses(connection)
    names = ("fingerprint", "stage", "reason", "letters", "last_seen")
    partitions = [each["to"] for each in Partitions(settings.database_url).listed() if each["to"]]
    return {
        "letters": letters,
        "told": told,
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


def _blocked(found: Mapping[str, Any]) -> Iterator[str]:
    for machine in found["machines"]:
        yield from _blocked_on(machine, found["prefetch"])
    for why in found["supervisor"].get("not_reloaded", []):
        yield f"supervisor: not reloaded: {why}"
    for part in found["shim"].get("not_reloaded", []):
        yield f"shim: {part} can't be used, and lets in nobody that it names: its log says why (not_reloaded)"
    yield from blocked_in_spool(found["spool"])
    if found["shim"].get("why") in UNCONFIRMED:
        yield f"the broker confirms nothing: {WAL_REMEDY}"
    for declared in TOPOLOGY.queues if found["queues"] else ():
        if declared.name not in found["queues"]:
            yield f"queue {declared.name} is missing: run `chef-ingest topology declare`"
    for name, queue in found["queues"].items():
        if queue["ready"] and name == PARKED:
            yield f"{queue['ready']} messages in {name}: {PARKED_REMEDY}"
        if queue["ready"] and not queue["consumers"] and name in WORK and not _paused(name, found["pauses"]):
            yield f"queue {name} has {queue['ready']} messages and no consumer: start `chef-ingest consume`"


def _paused(queue: str, paused: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it is held back everywhere."""
    return any(each["host"] == "all" and each["queue"] in ("all", queue) for each in paused)


def _blocked_on(machine: Mapping[str, Any], prefetch: int) -> Iterator[str]:
    where = "" if machine["here"] else f"{machine['host']}: "
    if machine["stale"]:
        yield (
            f"{where}the supervisor in {machine['folder']} has not been heard of for "
            f"{machine['silent_seconds']:.0f} s; its "
            f"workers held {machine['in_hand']} messages then. Is the machine gone, or cut off from the database? "
            f"`chef-ingest machines forget {machine['host']}` once it is meant to be gone"
        )
        return
    for worker in machine["workers"]:
        if worker["state"] in HELD_UP.values():
            yield f"{where}worker {worker['pid']} {worker['state']}: {worker['why']}"
        if worker["state"] == "silent":
            yield where + _silent(worker, prefetch)


def _silent(worker: Mapping[str, Any], prefetch: int) -> str:
    pid, most = worker["pid"], prefetch if worker["lane"] == LANES[0] else 1
    return (
        f"worker {pid} silent: not heard of for {worker['silent_seconds']:.0f} s; it held {worker['in_hand']} messages "
        f"then, and may hold up to {most}, which no queue counts. `ps -o stat,wchan {pid}` says what it does; after "
        f"{SILENT_SECONDS:.0f} s it is killed, and they are delivered again"
    )
