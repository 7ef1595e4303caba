"""What `make` does beside calling tools."""

from __future__ import annotations

import contextlib
import os
import pty
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


@pytest.mark.parametrize(("code", "red"), [(0, False), (69, False), (1, True), (2, True)])
def test_only_a_debian_that_can_t_be_had_is_no_failure_of_the_core(code: int, red: bool, tmp_path: Path) -> None:
    """69 is said loudly and fails nothing; whatever else ends the run is a failure. The run itself is stood in for."""
    script = tmp_path / "tests" / "newer.sh"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexit {code}\n")
    script.chmod(0o755)
    argv = ["make", "-f", str(ROOT / "Makefile"), "newer-core"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert bool(done.returncode) is red
    assert ("NOT TESTED on Debian trixie: it can't be had" in done.stderr) is (code == 69)


@pytest.mark.parametrize(("user", "unshare", "said"), [(1000, 0, "needs root"), (0, 1, "may not make namespaces")])
def test_where_no_debian_can_be_made_the_exit_status_says_so(
    user: int, unshare: int, said: str, tmp_path: Path
) -> None:
    """69 and the reason, before anything is made: who is no root, and root of a container that may not mount."""
    for name, line in (("id", f"echo {user}"), ("unshare", f"exit {unshare}")):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\n{line}\n")
        tool.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "tests" / "newer.sh", "nowhere"], capture_output=True, text=True, env=environ, timeout=60
    )
    assert (done.returncode, said in done.stderr) == (69, True)
    assert not (ROOT / ".local" / "newer" / "nowhere.lock").exists()


MEANWHILE = ["sh", str(ROOT / ".ci" / "meanwhile"), "making it"]


def test_what_takes_long_is_said_meanwhile(tmp_path: Path) -> None:
    """In a pipe as a plain line; the command's exit code is ours."""
    done = subprocess.run([*MEANWHILE, "sh", "-c", "exit 3"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "making it\n")


@pytest.mark.parametrize(("typed", "code"), [(b"", 0), (b"\x03", 130)])
def test_on_a_terminal_something_turns_meanwhile(typed: bytes, code: int, tmp_path: Path) -> None:
    """Until the command ends, or Ctrl-C ends both: then nothing turns any more."""
    ready = tmp_path / "ready"
    argv = [*MEANWHILE, "sh", "-c", f"while [ ! -e {ready} ]; do sleep 0.1; done"]
    pid, end = pty.fork()
    if pid == 0:  # pragma: no cover
        os.execvpe("sh", argv, os.environ | {"TERM": "xterm"})
    seen = b""
    with contextlib.suppress(OSError):
        while piece := os.read(end, 1024):
            seen += piece
            if typed and b"\r| making it" in seen:
                os.write(end, typed)
                typed = b""
            elif b"\r| making it" in seen:
                ready.touch()
    os.close(end)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    assert seen.endswith(b"\r  making it\r\n") is (code == 0)
