"""The benchmark as a check of correctness: it runs, and everybody who competes stores what was sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.plan import SECTIONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(1200)
def test_quick_bench_finds_every_row_as_sent(tmp_path: Path) -> None:
    """Every contender of `python -m bench --quick` leaves exactly the rows that were sent, and every section runs."""
    told = tmp_path / "bench.json"
    home = os.environ.get("BENCH_HOME", str(ROOT / ".bench"))
    argv = [sys.executable, "-m", "bench", "--quick", "--json", str(told), "--home", home]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    document = json.loads(told.read_text())
    assert document["faults"] == []
    assert {figure["section"] for figure in document["figures"]} >= {*SECTIONS} | {"wal", "peak"}
    assert {"commit", "machine", "RabbitMQ", "PostgreSQL"} <= document["facts"].keys()
