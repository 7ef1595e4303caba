"""What the console looks at: this machine's settings, supervisor, shim and spool."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.database.connection import Purpose
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from ingest.console.carrying import Carriers
from ingest.console.views.flow import paces
from ingest.diagnostics.audit import audit
from ingest.diagnostics.status import gather
from schemas.settings import Settings

PURPOSE: Final = Purpose("chef-ingest console", statement=10, silence=12)
"""Of a connection that looks at or changes what operators wish."""
CHANGING: Final = Purpose("chef-ingest console", statement=60, silence=62)
"""Of one that changes letters, which may be many."""

_FRESH_SECONDS: Final = 1.5
_LEDGER_SECONDS: Final = 30.0
_HOURS: Final = 24


class Balance(NamedTuple):
    """Whether the ledger adds up, in a sentence, and a line an hour; `colour`: good, warn or bad."""

    colour: str
    text: str
    rows: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Machine:
    """`state` is the folder of the supervisor's socket, `described` each setting with its value and origin."""

    settings: Settings
    state: Path
    shim_url: str = ""
    spool: Path | None = None
    described: Sequence[Mapping[str, str]] = ()
    carriers: Carriers = field(default_factory=Carriers)
    _seen: tuple[float, dict[str, Any]] | None = None
    _balanced: tuple[float, Balance] | None = None
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _auditing: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> dict[str, Any]:
        """What `status` gathers, no older than a moment: however many pages are open, it is asked once."""
        with self._looking:
            if self._seen is None or time.monotonic() - self._seen[0] > _FRESH_SECONDS:
                found = gather(self.settings, self.state, self.shim_url, self.spool)
                now, before = time.monotonic(), self._seen
                found["paces"] = {} if before is None else paces(before[1], found, now - before[0])
                self._seen = now, found
            return self._seen[1]

    def look_anew(self) -> None:
        """Something was changed: whoever is led back to a page sees it there, and not the moment before."""
        with self._looking:
            self._seen = None

    def ledger(self) -> Balance:
        """What `audit` says of the last day, no older than half a minute."""
        with self._auditing:
            if self._balanced is None or time.monotonic() - self._balanced[0] > _LEDGER_SECONDS:
                self._balanced = time.monotonic(), self._audit()
            return self._balanced[1]

    def _audit(self) -> Balance:
        try:
            found = audit(self.settings, self.state, _HOURS, spool=self.spool)
        except (BrokerUnavailable, StoreUnavailable, Misconfigured) as error:
            return Balance("warn", f"It can't be looked at: {error}")
        colour = {"missing": "bad", "surplus": "warn"}.get(found.verdict, "good")
        return Balance(colour, f"{found.verdict}: {found.text}", found.ledger.rows())
