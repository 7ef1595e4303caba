"""What the page of backups tells people to type is typed here, on a system that runs."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from operate_support import ROOT, command, consuming, environment

from consumers.database.migrations import migrate
from ingest.local.stack import LocalStack
from tests.servers import Databases


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
