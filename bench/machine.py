"""What the figures were measured on: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench import tables
from bench.children import ROOT
from bench.rig import Rig

UNKNOWN = "?"
"""What a command that says nothing, or is not there, is taken to say."""
_OURS = ("pika", "psycopg", "msgspec", "jsonschema", "jsonschema-rs", "uvloop", "httptools")
_PEERS = (
    "aio-pika", "asyncpg", "celery", "celery-batches", "fastapi", "fastjsonschema", "faststream", "orjson", "uvicorn",
)  # fmt: skip
_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_compression",
)


def facts(rig: Rig) -> dict[str, str]:
    """Name -> what it is; the load average tells who else was at work when it began."""
    with tables.open_database(rig.database_url) as database:
        settings = {name: database.execute(f"SHOW {name}".encode()).fetchone() for name in _SETTINGS}
    postgres = ", ".join(f"{name} {row[0]}" for name, row in settings.items() if row)
    return {
        "commit": _commit(),
        "machine": f"{os.cpu_count()} x {_cpu()}, {_memory_gb():.0f} GB, {platform.system()} {platform.release()}",
        "load before": " ".join(f"{each:.1f}" for each in os.getloadavg()),
        "RabbitMQ": rig.gauge.version,
        "PostgreSQL": postgres,
        "Python": platform.python_version(),
        "ours": ", ".join(f"{name} {version(name)}" for name in _OURS),
        "peers": _peers(rig.home),
        "Node.js": _run("node", "--version"),
    }


def _peers(home: Path) -> str:
    listed = _run(str(home / "venv" / "bin" / "python"), "-m", "pip", "freeze", "--disable-pip-version-check")
    versions = dict(line.split("==") for line in listed.splitlines() if line.count("==") == 1)
    return ", ".join(f"{name} {versions.get(name, '?')}" for name in _PEERS)


def _commit() -> str:
    commit = _run("git", "rev-parse", "--short", "HEAD")
    return f"{commit} with changes" if _run("git", "status", "--porcelain") != UNKNOWN else commit


def _run(*argv: str) -> str:
    try:
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or UNKNOWN
    except OSError:
        return UNKNOWN


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
