"""The console over a real database, and as the process that an operator starts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from console_support import NOBODY
from logging_process import LoggingProcess
from operate_support import command

from ingest.soak.system import until
from tests.patience import LONG


def test_the_process_serves_a_page_and_ends_when_it_is_told(tmp_path: Path) -> None:
    """A page is there without broker and database, and says that they are not; a stream of numbers delays no end."""
    env = os.environ | NOBODY | {"INGEST_CONSOLE_LISTEN": "127.0.0.1:0", "INGEST_LISTEN": "127.0.0.1:1"}
    process = LoggingProcess("console", "--state", str(tmp_path), env=env)
    url = until(lambda: process.events("listening"), "the console listens")[0]["url"]
    with httpx.Client(base_url=url, trust_env=False, timeout=LONG) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "database not seen" in page.text
        assert "broker not seen" in page.text
        assert client.head("/").status_code == 200
        assert client.post("/").status_code == 403
        with client.stream("GET", "/live") as stream:
            assert next(stream.iter_lines()) == "event: numbers"
            assert process.stop(signal.SIGTERM) == 0
    looked = process.events("looked")[0]
    assert (looked["path"], looked["status"]) == ("/", 200)
    assert looked["who"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--listen", "0.0.0.0:0"), "INGEST_TOKENS_FILE"),
        (("--listen", "nowhere"), "HOST:PORT"),
        (("--listen", "127.0.0.1:1"), "INGEST_CONSOLE_LISTEN"),
    ],
)
def test_it_says_why_it_does_not_start(arguments: tuple[str, ...], word: str, tmp_path: Path) -> None:
    """With exit code 78 and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = f"127.0.0.1:{taken.getsockname()[1]}"
        given = [each.replace("127.0.0.1:1", taken_port) for each in arguments]
        done = command("console", *given, env=os.environ | NOBODY | {"INGEST_STATE": str(tmp_path)})
    assert (done.returncode, word in done.stderr, "Traceback" in done.stderr) == (78, True, False), done.stderr


def test_without_its_packages_it_says_how_to_get_them() -> None:
    """And nothing else needs them: all of the command line is there."""
    hidden = "import sys; sys.modules['jinja2'] = None; from ingest.cli import main; main()"
    argv = [sys.executable, "-c", hidden, "console"]
    done = subprocess.run(argv, env=os.environ | NOBODY, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "pip install 'chef-ingest[console]'" in done.stderr
