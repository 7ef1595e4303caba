"""The stack as the recipes give it rights: a role that owns nothing, a broker's user that administers nothing."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import httpx
import psycopg
import pytest
from http_support import declare_topology
from operate_support import ROOT, command, environment
from stack_support import running

from ingest.local.stack import LocalStack
from tests.patience import LONG

FORBIDDEN = (
    "DROP TABLE actions",
    "CREATE TABLE x (y int)",
    "DELETE FROM schema_migrations",
    "ALTER TABLE runs ADD x int",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
)
HOW_TO = (ROOT / "docs" / "how-to" / "least-rights.md").read_text()


@pytest.fixture
def lesser_database(database_url: str) -> str:
    """The URL of a role made as the page says; the tables' owner is another one."""
    role = f"app_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        create = f"CREATE ROLE {role} LOGIN PASSWORD 'lesser' NOSUPERUSER NOCREATEDB NOCREATEROLE"
        connection.execute(create.encode())
    argv = ["psql", "-X", "-q", database_url, "-v", f"role={role}", "-f", str(ROOT / "deploy/postgresql/roles.sql")]
    for _ in range(2):
        subprocess.run(argv, check=True, capture_output=True, text=True)
    parts = urlsplit(database_url)
    return f"postgresql://{role}:lesser@{parts.hostname}:{parts.port}{parts.path}"


@pytest.fixture
def lesser_broker(servers: LocalStack, amqp_url: str) -> str:
    """The URL of a user with the permissions that the page gives, and no tag."""
    declare_topology(amqp_url)
    assert servers.rabbit is not None
    user, parts = f"user_{uuid.uuid4().hex[:8]}", urlsplit(amqp_url)
    permissions = re.findall(r"'([^']*)'", HOW_TO.partition("set_permissions")[2].partition("\n")[0])
    assert len(permissions) == 3
    servers.rabbit.ctl("add_user", user, "lesser")
    servers.rabbit.ctl("set_permissions", "-p", unquote(parts.path[1:]), user, *permissions)
    return f"amqp://{user}:lesser@{parts.hostname}:{parts.port}/{quote(unquote(parts.path[1:]), safe='')}"


def test_the_stack_works_with_the_rights_of_the_recipes(
    lesser_database: str, lesser_broker: str, database_url: str, tmp_path: Path
) -> None:
    """An action is stored and read, a refused one is a letter that is listed, replayed and discarded; and no more."""
    example = json.loads((ROOT / "ingest" / "demo" / "action.json").read_text())
    with running(lesser_broker, lesser_database) as system:
        http = httpx.Client(base_url=system.shim.url, trust_env=False, timeout=LONG)
        stored = http.post("/messages", json=example, headers={"Prefer": "wait=20"})
        assert stored.status_code == 201
        assert http.get(urlsplit(stored.headers["location"]).path).status_code == 200
        assert http.post("/messages", json={}, headers={"Prefer": "wait=20"}).status_code == 400
        env = environment(lesser_broker, lesser_database, tmp_path)
        listed = command("dead", "list", "--output", "json", env=env)
        assert len(json.loads(listed.stdout)) == 1, listed.stderr
        for arguments in (
            ("replay", "--all", "--yes", "--wait", "--timeout", "20"),
            ("discard", "--yes", "--state", "open"),
        ):
            assert "Traceback" not in command("dead", *arguments, env=env).stderr
        audited = command("audit", env=env)
        assert audited.returncode == 0, audited.stderr
        http.close()
    with psycopg.connect(lesser_database, autocommit=True) as connection:
        for forbidden in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    with psycopg.connect(database_url) as connection:
        states = connection.execute("SELECT state FROM dead_letters").fetchall()
    assert states == [("discarded",)]
