"""Looks at the spool of this machine: what waits in it, what was set aside, whether it can be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ingest.diagnostics.finding import Finding
from ingest.spool.contents import Contents, Looker

_NEARLY_FULL: Final = 0.8
_ASIDE_REMEDY: Final = "`chef-ingest spool list` shows them; see docs/runbooks/ChefIngestSpoolSetAside.md"
_FULL_REMEDY: Final = "bring the broker back, or raise INGEST_COLLECTOR_SPOOL_BYTES"


def look_at_spool(folder: Path | None, limit: int) -> dict[str, Any]:
    """What `status` tells of it; empty where it is off, `fault` where it can't be read by us."""
    if folder is None:
        return {}
    found = {"folder": str(folder), "limit": limit}
    try:
        contents = Looker(folder).look()
    except OSError as error:
        return found | {"fault": error.strerror or str(error)}
    names = ("messages", "bytes", "aside", "used")
    return found | {name: getattr(contents, name) for name in names} | {"oldest": _when(contents)}


def blocked_in_spool(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What of that wants a person, and the runbook about it."""
    if found.get("aside"):
        yield f"{found['aside']} set aside in the spool {found['folder']}: {_ASIDE_REMEDY}", "ChefIngestSpoolSetAside"
    if found.get("used", 0) > _NEARLY_FULL * found.get("limit", 0):
        yield f"the spool {found['folder']} is nearly full: {_FULL_REMEDY}", "ChefIngestSpoolWaiting"


def line_of_spool(found: dict[str, Any]) -> str:
    """The same in a line, for a person."""
    if "fault" in found:
        return f"spool {found['folder']}: not seen: {found['fault']}"
    since = f", the oldest since {found['oldest']}" if found["oldest"] else ""
    return f"spool {found['folder']}: {found['messages']} waiting{since}"


def check_spool(folder: Path | None, limit: int) -> Iterator[Finding]:
    """For the doctor."""
    if folder is None:
        text = "the spool is off: what a Chef server tells while the broker is away is answered 503 and lost"
        yield Finding("spool", "note", text, "set INGEST_COLLECTOR_SPOOL where a Chef server posts to this shim")
        return
    found = look_at_spool(folder, limit)
    if "fault" in found:
        yield Finding("spool", "note", line_of_spool(found), "ask as the user that the shim runs as")
        return
    blocked = list(blocked_in_spool(found))
    for line, _ in blocked:
        text, _, remedy = line.partition(": ")
        yield Finding("spool", "warning", text, remedy)
    if not _writable(folder):
        remedy = "see that the shim's user can, or set INGEST_COLLECTOR_SPOOL"
        yield Finding("spool", "note", f"the spool {folder} can't be written by who asks", remedy)
    elif not blocked:
        yield Finding("spool", "ok", line_of_spool(found))


def _when(contents: Contents) -> str | None:
    if contents.oldest is None:
        return None
    return datetime.fromtimestamp(contents.oldest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _writable(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
