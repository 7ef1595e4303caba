"""Looks at the data collector's door from both ends: as Chef servers ask for it, and whether clients' runs come too."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Final

from consumers.database import statements
from consumers.database.connection import Connection
from ingest.diagnostics.finding import Finding
from ingest.diagnostics.shim import look_at_shim, opener, own_url
from schemas.doors import COLLECTOR
from schemas.settings import Settings

PATH: Final = next(iter(COLLECTOR.posts))
PATIENCE_SECONDS: Final = 0.4
"""A Chef server's own, `health_ping_timeout`."""
MOST_ACTIONS: Final = 20_000


def check_collector(settings: Settings) -> Iterator[Finding]:
    """What a Chef server makes of the door: anything but a 2xx within its patience, and its `/_status` fails."""
    shim = look_at_shim(own_url(settings))
    base = settings.public_url.rstrip("/") or own_url(settings)
    url = base + PATH
    if shim.get("misquoted_token"):
        words = 'a token that the shim knows is refused because it comes as <<"TOKEN">>, in the quotes of Erlang'
        yield Finding("data collector", "warning", words, "chef-server-ctl set-secret data_collector token 'TOKEN'")
    if not settings.public_url and not shim:
        yield Finding("data collector", "note", f"no shim answers at {base}: its data collector was not looked at")
        return
    try:
        with opener().open(url, timeout=PATIENCE_SECONDS) as response:
            status = int(response.status)
    except (OSError, ValueError, http.client.HTTPException) as error:
        yield _unwell(url, str(getattr(error, "reason", error)))
        return
    if 200 <= status < 300:
        yield Finding("data collector", "ok", f"{url} answers {status}, as Chef servers ask for it")
    else:
        yield _unwell(url, f"it answers {status}")


def _unwell(url: str, why: str) -> Finding:
    words = f"GET {url}, {PATIENCE_SECONDS * 1000:.0f} ms to answer: {why}"
    remedy = (
        "until that is 200, /_status of every Chef server fails whose data_collector['root_url'] it is: see to the"
        " shim and what stands before it, or set data_collector['health_check'] = false"
    )
    return Finding("data collector", "warning", words, remedy)


def check_runs(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Whether nodes save themselves in runs that nobody told us of; without those the rule by run ids has no effect."""
    if settings.during_run == "off":
        return
    if settings.during_run != "self_node_update":
        yield from _before_their_runs(connection)
    text = statements.load("ingest.diagnostics", "doctor.sql")["untold_runs"]
    updates, nodes, example = connection.execute(text.encode(), {"most": MOST_ACTIONS}).fetchone() or (0, 0, None)
    if not updates:
        return
    words = (
        f"{updates} self node update{'s' if updates != 1 else ''} of the last day, by {nodes}"
        f" node{'s' if nodes != 1 else ''}, {example!r} for one, stored whose request id is no known run"
    )
    remedy = "do clients report here? See docs/how-to/chef-server.md; INGEST_DURING_RUN=both leaves them out anyway"
    yield Finding("runs", "note", words, remedy)


def _before_their_runs(connection: Connection) -> Iterator[Finding]:
    """Actions that are stored though their run is known: it became so after them."""
    text = statements.load("ingest.diagnostics", "doctor.sql")["before_their_runs"]
    actions, first = connection.execute(text.encode(), {"most": MOST_ACTIONS}).fetchone() or (0, 0)
    if not actions:
        return
    words = (
        f"{actions} of the last day's actions are stored though they are of a run, which became known after them: "
        f"{first} by which a node registered, {actions - first} that overtook their start"
    )
    remedy = "harmless: docs/explanation/the-rule.md; many that overtook: starts are answered 202, so add consumers"
    yield Finding("actions before their run", "note", words, remedy)
