"""`audit`: balances the ledger of a running system and names the gap."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from consumers.broker.connection import connect
from consumers.broker.queues import look_at_queues
from consumers.database.connection import Purpose, session
from consumers.ledger.balance import Books, Ledger, balance, window
from consumers.machines.supervisors import supervisors
from consumers.machines.view import machines
from consumers.supervisor.control import ControlError, ask
from consumers.supervisor.monitor import UNDERWAY
from consumers.supervisor.roster import Roster
from ingest.diagnostics.spool import line_of_spool, look_at_spool
from schemas.settings import Settings
from schemas.topology import DEAD

_PURPOSE: Final = Purpose("chef-ingest audit", statement=10, silence=12)
SETTLE_SECONDS: Final = 1.0
LOOKS: Final = 4
"""What workers elsewhere have in hand is seen late; after a few seconds it is stored, or really missing."""


@dataclass(frozen=True, slots=True)
class Audit:
    """A ledger, and what is to be said of its gap in one sentence."""

    ledger: Ledger
    verdict: str
    text: str


def audit(
    settings: Settings,
    state: Path,
    hours: int,
    sleep: Callable[[float], None] = time.sleep,
    spool: Path | None = None,
) -> Audit:
    """Look, and look again while something seems missing, or moves. `spool` is the folder of this machine's, None where
    it is off. Raises StoreUnavailable, BrokerUnavailable."""
    books = Books(settings.database_url)
    since = window(hours, datetime.now(UTC))
    for look in range(LOOKS):
        if look:
            sleep(SETTLE_SECONDS)
        acknowledged = books.acknowledged(since)
        # In the order in which a message walks: what leaves one place is seen in the next, twice rather than never.
        spooled, in_spool = _in_spool(spool, settings.collector_spool_bytes)
        in_flight = spooled + _in_flight(settings, state)
        ledger = balance(acknowledged, books.accounted(since), in_flight, books.late_runs(since))
        if ledger.gap == 0 or (ledger.gap < 0 and not in_flight):
            break
    verdict, text = judge(ledger)
    return Audit(ledger, verdict, text + in_spool)


def judge(ledger: Ledger) -> tuple[str, str]:
    """closed, missing, surplus or empty; and why, in a sentence."""
    if not ledger.hours:
        return "empty", "nothing was acknowledged or stored in this window"
    gap = ledger.gap
    if gap == 0 and ledger.in_flight:
        return "closed", (
            f"every acknowledged message is accounted for, if the {ledger.in_flight} in flight are acknowledged ones; "
            "ask again when nothing is in flight"
        )
    if gap == 0:
        return "closed", "every acknowledged message is accounted for; none is in flight"
    if gap > 0:
        return "missing", (
            f"{gap} acknowledged messages are neither stored, skipped, letters nor in flight: look for "
            "supervisors that can't tell what they hold (`status`), for spools elsewhere (`spool list`), "
            "for deleted or purged queues, for rows deleted by hand"
        )
    surplus = -gap
    if surplus <= ledger.in_flight:
        return "closed", (
            f"every acknowledged message is accounted for; {ledger.in_flight} are in flight, {surplus} of them past "
            "the shims: what a Chef server publishes counts as acknowledged once a worker takes it"
        )
    reasons = f"{ledger.explained} repeated deliveries or answers of 503 for what the broker had after all"
    if surplus <= ledger.explained:
        return "surplus", f"{surplus} more are accounted for than were acknowledged, which is explained by {reasons}"
    return "surplus", (
        f"{surplus} more are accounted for than were acknowledged, {reasons} among them; the rest was published past "
        "the shim, in flight when the window began, or counted by a shim that was killed or has not written it down yet"
    )


def _in_flight(settings: Settings, state: Path) -> int:
    connection = connect(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest audit")
    try:
        queues = look_at_queues(connection)
    finally:
        connection.close()
    waiting = sum(queues.get(name, (0, 0))[0] for name in (*UNDERWAY, DEAD))
    return waiting + _in_hand(settings, state)


def _in_spool(folder: Path | None, limit: int) -> tuple[int, str]:
    """How many wait there, for the broker or for a person, and what is to be said of it."""
    found = look_at_spool(folder, limit)
    if "fault" in found:
        return 0, f"; {line_of_spool(found)}"
    count = found.get("messages", 0) + found.get("aside", 0)
    return count, f"; {count} of those in flight are in the spool {folder}" if count else ""


def _in_hand(settings: Settings, state: Path) -> int:
    """Of workers here as they say now, of those on other machines as their supervisors wrote a few seconds ago."""
    with session(settings.database_url, _PURPOSE) as connection:
        told = supervisors(connection)
    try:
        here: Mapping[str, Any] = ask(state, {"verb": "status"})
    except ControlError:
        here = {}
    return sum(each["in_hand"] for each in machines(here, told, Roster(state).home))
