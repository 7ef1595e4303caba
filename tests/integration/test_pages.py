"""What the tutorial and the page of backups tell people to type is typed here, on a system that runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from operate_support import ROOT, command, consuming, environment

from consumers.database.migrations import migrate
from ingest.local.stack import LocalStack
from tests.patience import LONG, PATIENT
from tests.servers import Databases

PROGRAMS = Path(sys.executable).parent
MARK = "@@@ "


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def shown(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command in the blocks of a page, and what it is said to print."""
    for language, block in re.findall(r"^ *(?:[0-9]\. )?```(sh|console)\n(.*?)^ *```$", text, re.M | re.S):
        if language == "sh":
            yield from ((line.strip(), []) for line in block.splitlines())
        else:
            for sample in re.split(r"^\$ ", block, flags=re.M)[1:]:
                typed, *printed = sample.splitlines()
                yield typed, printed


def form(line: str) -> str:
    """A line without what differs from one machine and hour to the next: numbers, ids, widths of columns."""
    line = re.sub(r"[0-9]{4}-[0-9-]+T[0-9:]+Z|[A-Z][a-z]{2}, [0-9]+ [A-Z][a-z]{2} [0-9: ]+GMT", "TIME", line)
    return re.sub(r"[ -]{2,}", "  ", re.sub(r"\b[0-9a-f]*[0-9][0-9a-f-]*\b", "N", line)).strip()


@pytest.fixture
def tutorial(amqp_url: str, empty_database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """`up --demo` in a folder of its own, as `make run` leaves it; the environment of the second terminal there."""
    (tmp_path / "ingest").mkdir()
    shutil.copytree(ROOT / "ingest" / "demo", tmp_path / "ingest" / "demo")
    plain = {name: value for name, value in os.environ.items() if name not in ("AMQP_URL", "DATABASE_URL")}
    plain |= {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PWD": str(tmp_path), "PGTZ": "UTC"}
    urls = {"AMQP_URL": amqp_url, "DATABASE_URL": empty_database_url, "INGEST_LISTEN": "127.0.0.1:0"}
    argv = [PROGRAMS / "chef-ingest", "up", "--demo", "--consumers", "2"]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(argv, cwd=tmp_path, env=plain | PATIENT | urls, stdout=subprocess.PIPE, stderr=log)
    assert running.stdout is not None
    try:
        for line in running.stdout:
            if b"listening at" in line:
                break
        else:
            pytest.fail((tmp_path / "log").read_text()[-3000:])
        yield plain
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=LONG)


def test_the_tutorial_does_what_it_says(tutorial: dict[str, str], tmp_path: Path) -> None:
    """Every block but the first in one shell, in order: each prints the lines that are shown."""
    commands = [(typed, lines) for typed, lines in shown(page("tutorial.md")) if typed != "make run"]
    assert len(commands) > 12
    # The shim writes its counts down every few seconds, which a reader takes as well.
    closed = 'until said=$(chef-ingest audit 2>&1) && grep -q ^closed <<<"$said"; do sleep 0.5; done; echo "$said"'
    typed_here = [closed if typed == "chef-ingest audit" else typed for typed, _ in commands]
    script = "\n".join(f"echo '{MARK}'\n{typed}" for typed in typed_here)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"], cwd=tmp_path, env=tutorial, capture_output=True, text=True,
        timeout=LONG, check=False,
    )  # fmt: skip
    outputs = done.stdout.split(f"{MARK}\n")[1:]
    assert len(outputs) == len(commands), done.stdout
    for (typed, lines), output in zip(commands, outputs, strict=True):
        printed = {form(line) for line in output.splitlines()}
        # The first hour's last columns stay empty until that hour is counted.
        missing = [line for line in lines if line and not any(each.startswith(form(line)) for each in printed)]
        assert missing == [], (typed, output)
    assert done.returncode == 0, outputs[-1]


def test_a_backup_is_restored_as_the_page_says(
    amqp_url: str, database_url: str, databases: Databases, servers: LocalStack, tmp_path: Path
) -> None:
    """Dump while it runs, restore into another database, migrate, rights, topology: the same rows, and work goes on."""
    owner, restored = f"owner_{uuid.uuid4().hex[:8]}", f"{urlsplit(database_url).path[1:]}_restored"
    text = page("how-to/backup.md").replace("ingest_owner", owner).replace("ingest_restored", restored)
    typed = [line for line, _ in shown(text)]
    parts = urlsplit(database_url)
    env = environment(amqp_url, database_url, tmp_path)
    env |= {"PGHOST": parts.hostname or "", "PGPORT": str(parts.port), "PGUSER": parts.username or ""}
    env |= {"PGPASSWORD": parts.password or ""}

    def run(first: str) -> None:
        (line,) = (each for each in typed if each.startswith(first))
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {owner}".encode())
        connection.execute("INSERT INTO runs (run_id, organization, node_name, start_time) "
                           "VALUES (gen_random_uuid(), 'ponyville', 'web01', now())")  # fmt: skip
    run("pg_dump")
    assert servers.rabbit is not None
    assert urlsplit(amqp_url).path[1:] in servers.rabbit.ctl("export_definitions", "-")
    url = parts._replace(path=f"/{restored}").geturl()
    try:
        run("createdb")
        run("pg_restore")
        assert migrate(url) == []
        argv = ["psql", "-X", "-q", url, "-v", f"role={owner}", "-f", str(ROOT / "deploy/postgresql/roles.sql")]
        subprocess.run(argv, check=True, capture_output=True)
        env = environment(amqp_url, url, tmp_path)
        assert command("topology", "declare", env=env).returncode == 0
        with consuming(env, "-n", "1"):
            assert command("validate", str(ROOT / "ingest/demo/action.json"), env=env).returncode == 0
            assert command("audit", env=env).returncode == 0
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT node_name FROM runs").fetchall() == [("web01",)]
    finally:
        databases.drop(url)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {owner}".encode())
            connection.execute(f"DROP ROLE {owner}".encode())
