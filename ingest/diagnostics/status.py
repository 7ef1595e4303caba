"""`status`: what the system is doing, gathered from the broker, the database and the supervisor; each may be away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumers.broker.connection import connect
from consumers.broker.queues import look_at_queues
from consumers.database import statements
from consumers.database.connection import Purpose, session
from consumers.database.partitions import Partitions
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.supervisor.control import ControlError, ask
from consumers.supervisor.monitor import WORK, look_at_letters
from ingest.diagnostics.broker import PARKED_REMEDY, UNCONFIRMED, WAL_REMEDY
from ingest.diagnostics.shim import look_at_shim, own_url
from ingest.diagnostics.spool import blocked_in_spool, line_of_spool, look_at_spool
from schemas.labels import HELD_UP
from schemas.printable import printable
from schemas.settings import Settings
from schemas.topology import PARKED, TOPOLOGY

_PURPOSE: Final = Purpose("chef-ingest status", statement=10, silence=12)


def gather(settings: Settings, state: Path, shim_url: str = "", spool: Path | None = None) -> dict[str, Any]:
    """Everything there is to see; what can't be asked says why under `faults`. A shim may be elsewhere, and its spool
    with it."""
    faults: dict[str, str] = {}
    found: dict[str, Any] = {"faults": faults, "queues": {}, "supervisor": {}, "letters": {}, "causes": []}
    try:
        found["supervisor"] = ask(state, {"verb": "status"})
    except ControlError as error:
        faults["supervisor"] = str(error)
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
    names = ("fingerprint", "stage", "reason", "letters", "last_seen")
    partitions = [each["to"] for each in Partitions(settings.database_url).listed() if each["to"]]
    return {
        "letters": letters,
        "causes": [dict(zip(names, row, strict=True)) for row in rows],
        "partitions_until": max(partitions, default=None),
    }


def _to_drain(found: Mapping[str, Any]) -> float | None:
    """Seconds until the backlog is gone at the present rate; None where nothing moves."""
    rate = found["supervisor"].get("rate", 0.0)
    if not found["backlog"]:
        return 0.0
    return round(found["backlog"] / rate, 1) if rate else None


def _blocked(found: Mapping[str, Any]) -> Iterator[str]:
    for worker in found["supervisor"].get("workers", []):
        if worker["state"] in HELD_UP.values():
            yield f"worker {worker['pid']} {worker['state']}: {worker['why']}"
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
        if queue["ready"] and not queue["consumers"] and name in WORK:
            yield f"queue {name} has {queue['ready']} messages and no consumer: start `chef-ingest consume`"


def drawn(found: Mapping[str, Any]) -> RenderableType:
    """For a person."""
    supervisor = found["supervisor"]
    parts: list[RenderableType] = []
    if supervisor:
        auto = f", auto {supervisor['auto']}" if supervisor["auto"] else ""
        parts.append(_text(f"supervisor {supervisor['pid']} {supervisor['mode']}, {supervisor['wanted']} wanted{auto}"))
        columns = ("pid", "lane", "state", "in_hand", "up_seconds", "deaths", "why")
        parts.append(_table(supervisor["workers"], columns))
        totals = ", ".join(f"{name} {count}" for name, count in sorted(supervisor["totals"].items()))
        parts.append(_text(f"{supervisor['rate']} messages/s; since its start: {totals or 'nothing yet'}\n"))
    if found["shim"]:
        ready = "ready" if found["shim"].get("ready") else f"not ready: {found['shim'].get('why')}"
        parts.append(_text(f"shim {found['shim']['url']}: {ready}"))
    if found["spool"]:
        parts.append(_text(line_of_spool(found["spool"])))
    queues = [{"queue": name, **facts} for name, facts in found["queues"].items()]
    if queues:
        parts += [_table(queues, ("queue", "ready", "consumers")), Text(_backlog(found) + "\n")]
    if "database" not in found["faults"]:
        letters = ", ".join(f"{count} {name}" for name, count in sorted(found["letters"].items()))
        parts.append(_text(f"letters: {letters}; partitions until {found['partitions_until'] or 'none'}"))
    if found["causes"]:
        parts.append(_table(found["causes"], ("letters", "stage", "reason", "fingerprint", "last_seen")))
    parts += [_text(f"blocked: {line}", style="bold") for line in found["blocked"]]
    parts += [_text(f"not seen: {name}: {why}", style="bold") for name, why in found["faults"].items()]
    return Group(*parts)


def _backlog(found: Mapping[str, Any]) -> str:
    seconds = found["seconds_to_drain"]
    when = "nothing drains it" if seconds is None else f"{seconds:g} s to drain"
    return f"backlog {found['backlog']}" + (f", {when}" if found["backlog"] else "")


def _text(line: str, **style: Any) -> Text:
    return Text(printable(line.removesuffix("\n")) + "\n" * line.endswith("\n"), **style)


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else printable(str(row[name])) for name in columns))
    return table
