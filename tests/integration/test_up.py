"""`up` is the newcomer's first command: it demonstrates, serves, tells its addresses, and stops in order."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def start(folder: Path, *options: str, **how: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "up", "--state", str(folder), *options], stdout=subprocess.PIPE, text=True, env=environment(), **how
    )


def ran(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command to its end, in a shell where only the state folder is named."""
    env = environment() | {"INGEST_STATE": str(folder)}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=env, timeout=LONG, check=False)


def stopped(process: subprocess.Popen[str]) -> str:
    """What it printed, after SIGINT and an exit with 0."""
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=LONG)[0]
    assert process.returncode == 0
    return output


@pytest.fixture
def taken() -> Iterator[int]:
    """The default's port, at which somebody listens: we, or whoever does already."""
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):
            undo.enter_context(socket.create_server(("127.0.0.1", 8080)))
        yield 8080


def test_the_demonstration_gives_every_answer_and_ctrl_c_ends_it_with_0(
    folder: Path, taken: int, tmp_path: Path
) -> None:
    """201, 200, 201, 200, 201, 400 and a stored publish; `env` tells where everything listens; exit 0. What it does is
    said in plain lines, a port that is taken too, and the logs are files. Every command finds the stack."""
    with (tmp_path / "said").open("w") as said:
        process = start(folder, "--demo", "--consumers", "1", stderr=said)
    assert process.stdout is not None
    ready = process.stdout.readline()
    found = re.fullmatch(r"ready (http://127\.0\.0\.1:([0-9]+))\n", ready)
    assert found is not None
    assert int(found[2]) in range(taken + 1, taken + 100)
    lines = (tmp_path / "said").read_text().splitlines()
    steps = [
        f"port {taken} is taken: the shim listens at {found[2]}",
        f"starting RabbitMQ and PostgreSQL, with all data in {folder}",
        "PostgreSQL listens at 127.0.0.1:",
        "RabbitMQ listens at 127.0.0.1:",
        "bringing up the database's schema and the broker's queues",
        "starting the shim and 1 consumers",
    ]
    assert [line.startswith(step) for line, step in zip(lines, steps, strict=True)] == [True] * len(steps), lines
    assert '"listening"' in (folder / "logs" / "shim.log").read_text()
    assert (folder / "logs" / "consumers.log").stat().st_size
    told = subprocess.run([*COMMAND, "env", "--state", str(folder)], capture_output=True, text=True, check=True)
    addresses = dict(line.removeprefix("export ").split("=", 1) for line in told.stdout.splitlines())
    assert list(addresses) == ["AMQP_URL", "DATABASE_URL", "INGEST_URL"]
    assert addresses["INGEST_URL"] == found[1]
    assert "%2Fanalytics" in addresses["AMQP_URL"]
    assert httpx.get(f"{found[1]}/healthz", trust_env=False).status_code == 200
    second = subprocess.run([*COMMAND, "up", "--state", str(folder)], capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert f"already runs on {folder} (process {process.pid}), at {found[1]}" in second.stderr
    assert "stopped" not in second.stderr, "the first one runs on"
    using = f"using the local stack in {folder}"
    assert ran("dead", "stats", folder=folder).stderr == f"{using}\n"
    discarded = ran("dead", "discard", folder=folder)
    assert discarded.stderr.startswith(f"{using}: database postgresql://ingest:***@127.0.0.1:")
    assert discarded.returncode == 0
    output = stopped(process)
    codes = re.findall(r"^  ([0-9]{3})  ", output, re.MULTILINE)
    assert codes == ["201", "200", "201", "200", "201", "201", "201", "400", "200"]
    assert "every answer as it should be" in output
    assert "stored: 2 actions, 2 runs, 6 run_resources, 1 dead_letters" in output
    *_, stopping, last = (tmp_path / "said").read_text().splitlines()
    assert (stopping, last) == ("stopping", f"stopped; the data stays in {folder}")
    asked = subprocess.run([*COMMAND, "env", "--state", str(folder)], capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert "no local stack runs" in asked.stderr


@pytest.mark.parametrize("columns", [80, 100])
def test_it_comes_back_with_its_data_and_its_terminal_shows_the_demonstration_alone(
    folder: Path, tmp_path: Path, amqp_url: str, database_url: str, columns: int
) -> None:
    """Started again on the same folder (at 80 columns; at 100 on servers that are named), what was stored is still
    there, and sent again it is the same row. While it starts something turns; then no line is longer than the terminal,
    none is a log's, and the last say what to type."""
    env, step = environment() | {"TERM": "xterm"}, "starting RabbitMQ and PostgreSQL"
    if columns == 100:
        folder, step = tmp_path / "state", "starting the shim and 1 consumers"
        env |= {"AMQP_URL": amqp_url, "DATABASE_URL": database_url}
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, columns))
    process = subprocess.Popen(
        [*COMMAND, "up", "--state", str(folder), "--demo", "--consumers", "1"],
        stdin=child,
        stdout=child,
        stderr=child,
        env=env,
    )
    os.close(child)
    seen, told = b"", False
    with contextlib.suppress(OSError):
        while piece := os.read(parent, 65536):
            seen += piece
            if not told and b"DATABASE_URL, INGEST_URL\r\n" in seen:
                told = True
                process.send_signal(signal.SIGINT)
    os.close(parent)
    assert process.wait(LONG) == 0
    text = seen.decode()
    begun, _, rest = text.partition("ready http://")
    assert re.search(r"[-\\|/]\x1b\[0m " + step, begun), begun
    shown = rest.replace("\r", "").splitlines()
    assert "stored: 2 actions, 2 runs, 6 run_resources, 1 dead_letters" in shown
    assert "\x1b" not in rest
    assert [line for line in shown if len(line) > columns and str(folder) not in line] == []
    assert [line for line in shown if "event" in line or '"level"' in line] == []
    guide = shown[shown.index("every answer as it should be") + 1 :]
    assert guide[1].startswith("listening at http://127.0.0.1:")
    assert [line.split("#")[0].split()[-2:] for line in guide if line.startswith("  chef-ingest")] == [
        ["chef-ingest", "status"], ["dead", "list"],
    ]  # fmt: skip
    assert guide[-2:] == ["stopping", f"stopped; the data stays in {folder}"]


def test_ctrl_c_while_it_starts_ends_it_with_130_and_nothing_says_stopped(folder: Path) -> None:
    """Another start meanwhile says that one is being started; SIGTERM is 143. Nothing is left running."""
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = start(folder, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = process.stderr.readline()
        while "starting RabbitMQ" not in said:
            said = process.stderr.readline()
        process.send_signal(signal.SIGSTOP)  # no further, however long the other takes to look
        second = subprocess.run([*COMMAND, "up", "--state", str(folder)], capture_output=True, text=True, check=False)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        output, errors = process.communicate(timeout=LONG)
        assert second.returncode == 1
        assert f"is being started on {folder} (process {process.pid})" in second.stderr
        assert (process.returncode, output) == (code, "")
        assert errors.endswith(f"interrupted before it was ready: nothing of it runs; the data stays in {folder}\n")
        assert "stopped" not in errors
        assert json.loads((folder / "processes.json").read_text()) == {}


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
