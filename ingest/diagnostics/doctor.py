"""`doctor`: looks at everything the system needs and says what is wrong and what to do; it changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from consumers.database.connection import libpq_version
from ingest.access.keys import LEAST_BITS, SHORT_REMEDY, KeysUnavailable, short_keys_told
from ingest.diagnostics.broker import check_broker
from ingest.diagnostics.collector import check_collector
from ingest.diagnostics.database import RIGHTS, check_database
from ingest.diagnostics.finding import Finding
from ingest.diagnostics.management import check_management
from ingest.diagnostics.spool import check_spool
from schemas.settings import Settings

EXIT_FINE, EXIT_BROKEN, EXIT_WARNINGS = 0, 1, 2


def examine(
    settings: Settings, management_url: str | None = None, spool: Path | None = None, *, works: bool = True
) -> list[Finding]:
    """Every finding, the worst first. `spool` is its folder, None where it is off; `works`: as the role of workers and
    shims, whose rights are looked at."""
    found = [
        *check_program(),
        *check_door(settings),
        *check_keys(settings),
        *check_collector(settings),
        *check_spool(spool, settings.collector_spool_bytes),
        *check_broker(settings),
        *check_management(settings, management_url),
        *(each for each in check_database(settings) if works or each.check != RIGHTS),
    ]
    order = {"broken": 0, "warning": 1, "note": 2, "ok": 3}
    return sorted(found, key=lambda each: order[each.level])


def check_program() -> Iterator[Finding]:
    """This interpreter and what makes the shim fast."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", "ok", f"Python {version}")
    used = ", ".join(f"{name} {version_of(name)}" for name in ("chef-ingest", "psycopg", "pika"))
    yield Finding("program version", "ok", f"{used}, libpq {libpq_version()}")
    lacking = [name for name in ("uvloop", "jsonschema_rs") if find_spec(name) is None]
    if lacking:
        text = f"{', '.join(lacking)} can't be imported: everything works, several times slower"
        yield Finding("python", "warning", text, f"pip install {' '.join(lacking)}")


def check_door(settings: Settings) -> Iterator[Finding]:
    """Whether the shim asks who is there, as these settings have it."""
    if settings.auth != "none":
        yield Finding("auth", "ok", f"the shim asks for: {settings.auth}")
    elif settings.insecure_no_auth and not settings.tls_client_ca:
        text = f"the shim asks nobody who they are, and {settings.listen} takes whatever comes, through proxies too"
        yield Finding(
            "auth", "warning", text, "set INGEST_AUTH, or listen on 127.0.0.1 without INGEST_INSECURE_NO_AUTH"
        )
    else:
        text = "the shim asks nobody who they are, so it refuses proxies, web pages and foreign Hosts"
        yield Finding("auth", "note", text, "before a proxy such as nginx leads to it, set INGEST_AUTH")


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Keys of clients that are too short: who signs with one is answered 401."""
    if settings.auth not in ("signature", "any") or not settings.client_keys:
        return
    folder = Path(settings.client_keys)
    try:
        short = short_keys_told(folder)
    except KeysUnavailable as error:
        yield Finding("keys", "note", str(error), "run doctor as the shim's user")
        return
    if not short:
        yield Finding("keys", "ok", f"no RSA key in {folder} has fewer than {LEAST_BITS} bits")
        return
    yield Finding("keys", "warning", short, SHORT_REMEDY)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 fine, 2 warnings, 1 broken."""
    levels = {finding.level for finding in findings}
    if "broken" in levels:
        return EXIT_BROKEN
    return EXIT_WARNINGS if "warning" in levels else EXIT_FINE


def rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """To print."""
    return [
        {"level": each.level, "check": each.check, "finding": each.finding, "remedy": each.remedy} for each in findings
    ]
