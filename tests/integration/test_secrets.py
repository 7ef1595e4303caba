"""Secrets: planted where operators have them, and then looked for in everything that is printed or logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from http_support import serving

from ingest.access import tokens
from ingest.cli import main
from ingest.soak.system import until
from tests.patience import LONG

SECRET = "Zq7-planted-9w"
DOWN = {
    "AMQP_URL": f"amqp://shim:{SECRET}@127.0.0.1:1/%2Fanalytics,amqps://shim:{SECRET}@127.0.0.1:1/x",
    "DATABASE_URL": f"postgresql://worker:{SECRET}@127.0.0.1:1/ingest?sslpassword={SECRET}",
}
UNREADABLE = [
    {"AMQP_URL": f"amqp://shim:a/{SECRET}@127.0.0.1:5672/x"},
    {"AMQP_URL": f"amqp://shim:{SECRET}@127.0.0.1:{SECRET}/x"},
    {"AMQP_URL": f"amqp://shim:{SECRET}@127.0.0.1:1/x?ssl_options={{'password':'{SECRET}'"},
    {"AMQP_URL": SECRET},
    {"DATABASE_URL": f"postgresql://worker:a/{SECRET}@127.0.0.1:1/ingest"},
    {"DATABASE_URL": f"postgresql://worker:{SECRET} x@127.0.0.1:{SECRET}/ingest"},
    {"DATABASE_URL": f"host=127.0.0.1 password=a {SECRET}"},
    {"DATABASE_URL": f"host=127.0.0.1 port=1 password='a {SECRET}"},
]
COMMANDS = [["config"], ["config", "--output", "json"], ["topology", "declare"], ["migrate"]]


def chef_ingest(args: list[str], environ: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ingest", *args],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_commands_keep_them(args: list[str], tmp_path: Path) -> None:
    """Whether from the environment, a file or a TOML, a password is in no command's output and in no error."""
    (tmp_path / "secret").write_text(DOWN["DATABASE_URL"])
    (tmp_path / "c.toml").write_text(f'amqp_url = "{DOWN["AMQP_URL"]}"')
    environ = {"DATABASE_URL_FILE": str(tmp_path / "secret"), "INGEST_CONFIG": str(tmp_path / "c.toml")}
    code, said = chef_ingest(args, environ)
    assert code == (0 if "config" in args else 69), said
    assert SECRET not in said
    assert "127.0.0.1" in said


@pytest.mark.parametrize("environ", UNREADABLE, ids=lambda environ: next(iter(environ)))
def test_unreadable_urls_keep_them(environ: dict[str, str]) -> None:
    """An unreadable URL is refused by its variable, and no part of it is quoted."""
    args = ["migrate"] if "DATABASE_URL" in environ else ["topology", "declare"]
    done = CliRunner().invoke(main, args, env=environ)
    assert done.exit_code == 78, done.output
    assert next(iter(environ)) in done.output
    assert SECRET not in done.output


def test_the_shim_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to the debug level nothing of URLs, tokens or bodies gets into the log, an answer or a command line."""
    secret, line = tokens.new("one", "actions,read")
    (tmp_path / "tokens").write_text(line)
    settings = {"auth": "token", "tokens_file": tmp_path / "tokens"}
    monkeypatch.setenv("LOG_LEVEL", "debug")
    with serving(DOWN["AMQP_URL"], DOWN["DATABASE_URL"], connected=False, **settings) as shim:
        headers = {"Authorization": f"Bearer {secret}"}
        answers = [
            shim.http.post("/messages", content=SECRET, headers=headers),
            shim.http.post("/messages", content=SECRET, headers={"Authorization": f"Bearer {SECRET}"}),
            shim.http.get("/actions/b576b4a2-7b2a-43b8-b385-d6281e9a139e", headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [503, 401, 503]
        until(lambda: shim.events("broker_disconnected") and shim.events("database_unavailable"), "the shim complains")
        line_of_command = Path(f"/proc/{shim.process.pid}/cmdline").read_bytes().decode()
        everything = json.dumps(shim.log) + line_of_command + "".join(answer.text for answer in answers)
    assert "127.0.0.1" in everything
    assert SECRET not in everything
    assert secret not in everything


def test_the_consumers_keep_them() -> None:
    """Supervisor and workers complain of a database that is down without its password, on command lines too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", "consume", "-n", "1"],
        env=os.environ | DOWN | {"INGEST_DRAIN_SECONDS": "1", "LOG_LEVEL": "debug"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    while "waiting" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in (str(process.pid), *children)]
    process.terminate()
    said += process.communicate(timeout=LONG)[0]
    assert children
    assert SECRET not in said + "".join(lines)
