"""The database's schema: what the migrations add up to is what schema.sql says."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from consumers.database import migrations
from consumers.database.migrations import ALONE, available, migrate
from consumers.errors import StoreUnavailable
from ingest.soak.system import until


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


START = "INSERT INTO runs (run_id, organization, node_name, start_time) VALUES (%s, 'acme', 'web1', now())"
STRONG = "SELECT mode FROM pg_locks WHERE relation = 'runs'::regclass AND pid = %s AND mode IN ("
STRONG += "'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
WAITS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX%%' AND "
WAITS += "application_name = 'chef-ingest migrate' AND wait_event_type = 'Lock'"


def test_an_index_is_made_while_workers_write_and_made_anew_if_that_was_interrupted(empty_database_url: str) -> None:
    """It waits for who was there before, and nobody waits for it; what a killed migration left does not stay."""
    with psycopg.connect(empty_database_url, autocommit=True) as other:
        with no_index_yet():
            migrate(empty_database_url)
        with ThreadPoolExecutor(1) as thread, psycopg.connect(empty_database_url) as writer:
            writer.execute(START, [str(uuid.uuid4())])
            migrating = thread.submit(migrate, empty_database_url)
            pid = until(lambda: other.execute(WAITS.encode()).fetchone(), "the index waits for the writer", 60)[0]
            assert other.execute(STRONG.encode(), [pid]).fetchall() == []
            other.execute(START, [str(uuid.uuid4())])
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
            with pytest.raises(StoreUnavailable):
                migrating.result(60)
            writer.commit()
        invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        assert other.execute(invalid).fetchone() == (1,)
        assert migrate(empty_database_url) == [name for name, text in available().items() if text.startswith(ALONE)]
        assert other.execute(invalid).fetchone() == (0,)


def test_many_migrate_at_once_and_one_does_it(empty_database_url: str) -> None:
    """Whoever waits for a turn holds up no index, and finds everything done."""
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(migrate, [empty_database_url] * 4))
    assert sorted(map(len, done)) == [0, 0, 0, len(available())]


@contextmanager
def no_index_yet() -> Iterator[None]:
    """As if there were only those migrations that can be in a transaction."""
    together = {name: text for name, text in available().items() if not text.startswith(ALONE)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "available", lambda: together)
        yield
