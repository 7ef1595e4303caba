"""The database's schema: what the migrations add up to is what schema.sql says."""

from __future__ import annotations

import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from consumers.database.migrations import migrate


def dump(url: str, binaries: Path) -> str:
    """The schema as pg_dump tells it, without what differs from run to run."""
    facts = conninfo_to_dict(url)
    argv = [str(binaries / "pg_dump"), "--schema-only", "--no-owner", "--no-comments", url]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, env={"PGPASSWORD": str(facts.get("password"))}
    )
    return "\n".join(line for line in done.stdout.splitlines() if not re.match(r"--|\\(un)?restrict ", line))


def test_the_migrations_add_up_to_the_schema(databases: Any, servers: Any) -> None:
    """A database that grew by migrations and one made from schema.sql are the same."""
    grown, made = databases.create(migrated=False), databases.create(migrated=False)
    migrate(grown)
    with psycopg.connect(made) as connection:
        connection.execute(resources.files("schemas").joinpath("schema.sql").read_bytes())
    try:
        assert dump(grown, servers.postgres._binaries) == dump(made, servers.postgres._binaries)
    finally:
        databases.drop(grown)
        databases.drop(made)
