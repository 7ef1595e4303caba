"""Where the spool is: the folder that the setting names, below the state folder where it names no absolute one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from schemas.settings import Settings

_STATE: Final = Path("/var/lib/chef-ingest")


def place(settings: Settings, environ: Mapping[str, str]) -> Path | None:
    """The folder; None where the spool is off.

    The state folder is INGEST_STATE's, else the one that systemd made for the service, else the machine's for root,
    else the user's own: never one that a restart of the machine empties.
    """
    if not settings.collector_spool:
        return None
    return _state(environ) / settings.collector_spool


def _state(environ: Mapping[str, str]) -> Path:
    for name in ("INGEST_STATE", "STATE_DIRECTORY"):
        if environ.get(name):
            return Path(environ[name].partition(":")[0]).absolute()
    if os.geteuid() == 0:
        return _STATE
    home = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "/") / ".local/state"
    return Path(home) / "chef-ingest"
