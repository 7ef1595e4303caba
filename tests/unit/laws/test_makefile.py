"""What `make` does beside calling tools."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from rooms import ROOT


@pytest.mark.parametrize("stamp", [".dev", ".runtime"])
def test_an_editable_install_has_the_manual(stamp: str, tmp_path: Path) -> None:
    """`man` looks beside a folder of PATH: there the page lies, as the clone has it. The tools are stood in for."""
    for name in ("python", "pip"):
        tool = tmp_path / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
    argv = ["make", f"VENV={tmp_path}", str(tmp_path / stamp)]
    environ = {"PATH": os.environ["PATH"]}
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, env=environ)
    page = tmp_path / "share" / "man" / "man1" / "chef-ingest.1"
    assert page.resolve() == ROOT / "docs" / "man" / "chef-ingest.1"
