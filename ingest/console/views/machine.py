"""What the console looks at: this machine's settings, supervisor, shim and spool."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ingest.diagnostics.status import gather
from schemas.settings import Settings

_FRESH_SECONDS: Final = 1.5


@dataclass(slots=True)
class Machine:
    """`state` is the folder of the supervisor's socket, `described` each setting with its value and origin."""

    settings: Settings
    state: Path
    shim_url: str = ""
    spool: Path | None = None
    described: Sequence[Mapping[str, str]] = ()
    _seen: tuple[float, dict[str, Any]] | None = None
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> dict[str, Any]:
        """What `status` gathers, no older than a moment: however many pages are open, it is asked once."""
        with self._looking:
            if self._seen is None or time.monotonic() - self._seen[0] > _FRESH_SECONDS:
                found = gather(self.settings, self.state, self.shim_url, self.spool)
                self._seen = time.monotonic(), found
            return self._seen[1]
