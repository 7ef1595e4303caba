"""Whoever stops a process more than once, however late, is not told that it died of that."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from logging_process import LoggingProcess
from operate_support import declared, environment

from ingest.soak.system import until
from tests.patience import LONG

LATE = """
import os, signal

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), term=signal.SIGTERM, write=os.write):
        write(2, b"told again\\n")
        kill(pid, term)

os.late = Late()
"""
"""What any interpreter loads that finds it: a SIGTERM when our handlers have already been taken away. Values of a
module that others hold are forgotten even where the collector was told to leave everything alone."""


@pytest.mark.parametrize(
    ("command", "ready"),
    [
        ("serve", "listening"),
        ("console", "listening"),
        ("consume", "consuming"),
        ("worker", "consuming"),
    ],
)
def test_a_process_told_again_while_it_ends_still_ends_with_0(
    command: str, ready: str, amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """A shim, a console, a supervisor and a worker end as they would have."""
    declared(amqp_url)
    (tmp_path / "sitecustomize.py").write_text(LATE)
    anywhere = {"listen": "127.0.0.1:0", "console_listen": "127.0.0.1:0", "consumers": 1}
    env = environment(amqp_url, database_url, tmp_path / "state", **anywhere) | {"PYTHONPATH": str(tmp_path)}
    process = LoggingProcess(command, env=env)
    event = until(lambda: process.events(ready), f"{command} is ready")[0]
    if "url" in event:  # it listens before it answers
        assert httpx.get(event["url"], trust_env=False, timeout=LONG).status_code < 500
    assert process.stop() == 0
    assert {"event": "text", "text": "told again\n"} in process.log
