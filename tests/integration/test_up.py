"""`up` is the newcomer's first command: it demonstrates, serves, tells its addresses, and stops in order."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.patience import LONG, PATIENT

COMMAND = [sys.executable, "-m", "ingest"]


def environment() -> dict[str, str]:
    """Ours, without the settings of somebody's own stack."""
    ours = {name: value for name, value in os.environ.items() if name not in ("AMQP_URL", "DATABASE_URL")}
    return ours | PATIENT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("up") / "state"
    yield folder
    shutil.rmtree((folder / "data").resolve(), ignore_errors=True)


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "up", "--state", str(folder), *options], stdout=subprocess.PIPE, text=True, env=environment()
    )


def stopped(process: subprocess.Popen[str]) -> str:
    """What it printed, after SIGINT and an exit with 0."""
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=LONG)[0]
    assert process.returncode == 0
    return output


def test_the_demonstration_gives_every_answer_and_ctrl_c_ends_it_with_0(folder: Path) -> None:
    """201, 200, 201, 200, 201, 400 and a stored publish; `env` tells where everything listens; exit 0."""
    process = start(folder, "--demo", "--consumers", "1")
    assert process.stdout is not None
    ready = process.stdout.readline()
    found = re.fullmatch(r"ready (http://127\.0\.0\.1:[0-9]+)\n", ready)
    assert found is not None
    told = subprocess.run([*COMMAND, "env", "--state", str(folder)], capture_output=True, text=True, check=True)
    addresses = dict(line.removeprefix("export ").split("=", 1) for line in told.stdout.splitlines())
    assert list(addresses) == ["AMQP_URL", "DATABASE_URL", "INGEST_URL"]
    assert addresses["INGEST_URL"] == found[1]
    assert "%2Fanalytics" in addresses["AMQP_URL"]
    assert httpx.get(f"{found[1]}/healthz", trust_env=False).status_code == 200
    second = subprocess.run([*COMMAND, "up", "--state", str(folder)], capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert f"already runs on {folder} (process {process.pid})" in second.stderr
    assert "stopped" not in second.stderr, "the first one runs on"
    output = stopped(process)
    codes = re.findall(r"^  ([0-9]{3})  ", output, re.MULTILINE)
    assert codes == ["201", "200", "201", "200", "201", "201", "201", "400", "200"]
    assert "every answer as it should be" in output
    assert "stored: 2 actions, 2 runs, 6 run_resources, 1 dead_letters" in output
    asked = subprocess.run([*COMMAND, "env", "--state", str(folder)], capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert "no local stack runs" in asked.stderr


def test_it_comes_back_with_its_data(folder: Path) -> None:
    """Started again on the same folder, what was stored is still there, and sent again it is the same row."""
    process = start(folder, "--demo", "--consumers", "1")
    output = stopped_after_demo(process)
    assert "stored: 2 actions, 2 runs, 6 run_resources, 1 dead_letters" in output


def stopped_after_demo(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1] and "listening at" not in lines[-1]:
        lines.append(process.stdout.readline())
    return "".join(lines) + stopped(process)


def test_a_port_that_is_taken_is_said_and_nothing_is_left_running(folder: Path, servers: object) -> None:
    """The address in the way is named, by exit code 78, and nothing is posted to whoever is ready there; nor is
    anything started for it."""
    asked: list[str] = []

    class Another(http.server.BaseHTTPRequestHandler):
        """Ready, and content with whatever it is sent."""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Another) as another:
        threading.Thread(target=another.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{another.server_port}"
        done = subprocess.run(
            [*COMMAND, "up", "--demo", "--state", str(folder)], capture_output=True, text=True,
            env=environment() | {"INGEST_LISTEN": address}, timeout=LONG, check=False,
        )  # fmt: skip
        another.shutdown()
    assert done.returncode == 78
    assert f"INGEST_LISTEN: {address}: Address already in use" in done.stderr
    assert (done.stdout, asked) == ("", [])
    assert "starting" not in done.stderr
    asked = subprocess.run([*COMMAND, "env", "--state", str(folder)], capture_output=True, text=True, check=False)
    assert asked.returncode == 1
