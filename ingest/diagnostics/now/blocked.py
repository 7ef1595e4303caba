"""What stands in the way of messages, by what `status` has seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from consumers.supervisor.monitor import WORK
from consumers.supervisor.slot import SILENT_SECONDS
from ingest.diagnostics.broker import PARKED_REMEDY, UNCONFIRMED, WAL_REMEDY
from ingest.diagnostics.spool import blocked_in_spool
from schemas.labels import HELD_UP, LANES
from schemas.topology import PARKED, TOPOLOGY


class Trouble(NamedTuple):
    """Something that is wrong, with its remedy; `runbook` names the page about it in docs/runbooks, if there is one.

    What `blocks` stands in the way of messages now; the rest wants looking after."""

    text: str
    runbook: str = ""
    blocks: bool = False


def blocked(found: Mapping[str, Any]) -> Iterator[Trouble]:
    """All that blocks."""
    return (Trouble(text, runbook, True) for text, runbook in _blocked(found))


def paused(queue: str, pauses: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it is held back everywhere."""
    return any(each["host"] == "all" and each["queue"] in ("all", queue) for each in pauses)


def _blocked(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for machine in found["machines"]:
        yield from _blocked_on(machine, found["prefetch"])
    for why in found["supervisor"].get("not_reloaded", []):
        yield f"supervisor: not reloaded: {why}", "ChefIngestNotReloaded"
    for part in found["shim"].get("not_reloaded", []):
        text = f"shim: {part} can't be used, and lets in nobody that it names: its log says why (not_reloaded)"
        yield text, "ChefIngestNotReloaded"
    yield from blocked_in_spool(found["spool"])
    if found["shim"].get("why") in UNCONFIRMED:
        yield f"the broker confirms nothing: {WAL_REMEDY}", "ChefIngestBrokerAlarm"
    for declared in TOPOLOGY.queues if found["queues"] else ():
        if declared.name not in found["queues"]:
            yield f"queue {declared.name} is missing: run `chef-ingest topology declare`", "ChefIngestRefusing"
    for name, queue in found["queues"].items():
        if queue["ready"] and name == PARKED:
            yield f"{queue['ready']} messages in {name}: {PARKED_REMEDY}", ""
        if queue["ready"] and not queue["consumers"] and name in WORK and not paused(name, found["pauses"]):
            text = f"queue {name} has {queue['ready']} messages and no consumer: start `chef-ingest consume`"
            yield text, "ChefIngestNoConsumers"


def _blocked_on(machine: Mapping[str, Any], prefetch: int) -> Iterator[tuple[str, str]]:
    where = "" if machine["here"] else f"{machine['host']}: "
    if machine["stale"]:
        text = (
            f"{where}the supervisor in {machine['folder']} has not been heard of for "
            f"{machine['silent_seconds']:.0f} s; its "
            f"workers held {machine['in_hand']} messages then. Is the machine gone, or cut off from the database? "
            f"`chef-ingest machines forget {machine['host']}` once it is meant to be gone"
        )
        yield text, "ChefIngestSupervisorGone"
        return
    for why in () if machine["here"] else machine.get("not_reloaded") or ():
        yield f"{where}supervisor: not reloaded: {why}", "ChefIngestNotReloaded"
    for worker in machine["workers"]:
        if worker["state"] in HELD_UP.values():
            yield f"{where}worker {worker['pid']} {worker['state']}: {worker['why']}", "ChefIngestPaused"
        if worker["state"] == "silent":
            yield where + _silent(worker, prefetch), "ChefIngestWorkersDying"


def _silent(worker: Mapping[str, Any], prefetch: int) -> str:
    pid, most = worker["pid"], prefetch if worker["lane"] == LANES[0] else 1
    return (
        f"worker {pid} silent: not heard of for {worker['silent_seconds']:.0f} s; it held {worker['in_hand']} messages "
        f"then, and may hold up to {most}, which no queue counts. `ps -o stat,wchan {pid}` says what it does; after "
        f"{SILENT_SECONDS:.0f} s it is killed, and they are delivered again"
    )
