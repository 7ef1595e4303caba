"""The soak itself: random faults, one after another, and the ledger at the end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_short_soak_ends_with_a_ledger_that_holds(tmp_path):
    """S31, in small: two minutes of random harm, every message accounted for, everything healed by itself."""
    tmp_path.chmod(0o711)
    command = [
        sys.executable,
        "-m",
        "ingest",
        "soak",
        "--minutes",
        "2",
        "--seed",
        "2",
        "--state",
        str(tmp_path / "soak"),
    ]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=850, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the ledger holds" in done.stdout
