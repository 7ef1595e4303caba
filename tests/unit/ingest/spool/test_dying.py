"""A shim that is killed at any step has kept all that it told, and what it sent is not sent again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.spool.contents import Contents
from tests.rooms import ROOT
from tests.spool_support import Taker, drained


@pytest.mark.parametrize(
    ("moment", "told", "repeated"),
    [
        ("spool_written:}31", 30, 0),
        ("spool_synced:}31", 30, 0),
        ("spool_published", 60, 50),
        ("spool_marked", 60, 0),
        ("spool_removed", 60, 0),
    ],
)
def test_killed_at_any_step(tmp_path: Path, moment: str, told: int, repeated: int) -> None:
    """Every message that was told as kept is taken once; twice only what was under way when the shim died."""
    hooks = {"INGEST_TEST_HOOKS": "1", "INGEST_FAILPOINT": moment}
    command = [sys.executable, "-m", "tests.spool_dying", str(tmp_path)]
    died = subprocess.run(command, cwd=ROOT, env=os.environ | hooks, stdout=subprocess.PIPE)
    assert died.returncode == -signal.SIGKILL
    said = [line.split() for line in died.stdout.splitlines()]
    kept, taken = ([number for word, number in said if word == which] for which in (b"kept", b"taken"))
    assert len(kept) == told
    taker = Taker()
    assert asyncio.run(drained(tmp_path, taker)) == Contents()
    assert set(kept) <= {*taken, *taker.payloads}
    assert len(taken) + len(taker.payloads) - len({*taken, *taker.payloads}) == repeated
