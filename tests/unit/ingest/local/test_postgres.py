"""A private cluster is made with what its PostgreSQL was built with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.local.postgres import Postgres
from ingest.local.processes import ProcessLedger

INITDB = """#!/bin/sh
echo "# made" > "$2/postgresql.conf"
"""
POSTGRES = """#!/bin/sh
case "$*" in
*wal_compression=lz4*) exit {status};;
*--single*) exec cat > /dev/null;;
*) exec sleep 600;;
esac
"""


@pytest.mark.parametrize(("status", "compression"), [(0, "lz4"), (1, "off")])
def test_what_compresses_badly_is_not_turned_on(tmp_path: Path, status: int, compression: str) -> None:
    """The WAL is compressed by lz4, and where PostgreSQL was built without it not by pglz, which costs more than it
    saves."""
    for name, script in (("initdb", INITDB), ("postgres", POSTGRES.format(status=status))):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    postgres = Postgres(
        binaries=tmp_path,
        folder=tmp_path / "cluster",
        log=tmp_path / "log",
        port=1,
        password="secret",
        account=None,
        ledger=ProcessLedger(tmp_path / "processes.json"),
        path=os.environ["PATH"],
    )
    try:
        postgres.spawn()
        settings = (tmp_path / "cluster" / "postgresql.conf").read_text().splitlines()
    finally:
        postgres.kill()
    assert [each for each in settings if each.startswith("wal_compression")] == [f"wal_compression = {compression}"]
