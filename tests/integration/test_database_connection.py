"""THE connect: whatever the role, the URL, the shell or the server is like, a session is ours, and never hangs."""

from __future__ import annotations

import ast
import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from rooms import FILES, ROOT

from consumers.database.connection import Purpose, connect, connect_async, session
from consumers.database.migrations import migrate
from consumers.database.partitions import Partitions
from consumers.errors import Misconfigured, StoreUnavailable
from ingest.diagnostics import database as doctor
from ingest.diagnostics import status
from ingest.local.stack import LocalStack
from ingest.reads.database import Database, Row
from ingest.soak.proxy import Proxy
from ingest.soak.system import through
from schemas.settings import Settings

QUICK = Purpose("chef-ingest test", statement=20, silence=0.5)


def execute(url: str, *texts: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for text in texts:
            connection.execute(text.encode())


@contextmanager
def role(database_url: str, **settings: str) -> Iterator[str]:
    """The URL of a superuser of its own with settings of its own."""
    name = f"odd_{uuid.uuid4().hex[:10]}"
    execute(database_url, f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'x'")
    execute(database_url, *(f"ALTER ROLE {name} SET {setting} = {value}" for setting, value in settings.items()))
    parts = urlsplit(database_url)
    try:
        yield parts._replace(netloc=f"{name}:x@{parts.netloc.rpartition('@')[2]}").geturl()
    finally:
        execute(database_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


ODD: list[dict[str, str]] = [
    {"datestyle": "'German'", "timezone": "'Asia/Kolkata'"},
    {"datestyle": "'SQL, DMY'", "standard_conforming_strings": "off"},
    {"client_encoding": "'LATIN1'", "timezone": "'America/St_Johns'"},
    {"statement_timeout": "'1ms'", "lock_timeout": "'1ms'", "default_transaction_isolation": "'serializable'"},
]


@pytest.mark.parametrize("settings", ODD, ids=lambda settings: ",".join(settings))
def test_a_role_with_odd_settings_reads_and_writes_as_any_other(database_url: str, settings: dict[str, str]) -> None:
    """Times, text and months are the same, and a role's own timeouts are not ours."""
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    with role(database_url, **settings) as url:
        with session(url, Purpose("chef-ingest test")) as connection:
            row = connection.execute("SELECT %s::timestamptz, %s::text, 'a\\b'", (moment, "ノード é")).fetchone()
            assert row == (moment, "ノード é", "a\\b")
            assert row[0].utcoffset().total_seconds() == 0
            connection.execute("SELECT pg_sleep(0.05)")
        Partitions(url).create(2)
        months = {each["from"] for each in Partitions(url).listed() if each["from"]}
    assert months
    assert {month[-3:] for month in months} == {"-01"}


def test_the_shells_variables_change_no_reading(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They lead to a server of the operator's own where its URL leaves something to them, and no further."""
    parts = urlsplit(database_url)
    url = parts._replace(netloc=parts.netloc.replace("127.0.0.1", "localhost")).geturl()
    variables = {
        "PGTZ": "Asia/Kolkata", "PGDATESTYLE": "German", "PGCLIENTENCODING": "LATIN1", "PGAPPNAME": "psql",
        "PGOPTIONS": "-c standard_conforming_strings=off -c statement_timeout=1", "PGCONNECT_TIMEOUT": "1000",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    with session(url, Purpose("chef-ingest test")) as connection:
        row = connection.execute("SELECT %s::timestamptz, %s::text, 'a\\b'", (moment, "ノード é")).fetchone()
        assert row == (moment, "ノード é", "a\\b")
        assert row[0].utcoffset().total_seconds() == 0
        connection.execute("SELECT pg_sleep(0.05)")
        assert connection.execute("SHOW application_name").fetchone() == ("chef-ingest test",)


def test_the_operators_own_options_stay(empty_database_url: str) -> None:
    """A search path in the URL leads to our tables, before they are there and ever after."""
    execute(empty_database_url, "CREATE SCHEMA elsewhere")
    url = empty_database_url + "?options=-csearch_path%3Delsewhere%2Cpublic"
    with session(url, QUICK) as connection:
        connection.execute("CREATE TABLE schema_migrations (name text)")
    with session(url, QUICK) as connection:
        found = connection.execute("SHOW search_path").fetchone()
    assert found == ("elsewhere, pg_temp",), "and nothing is looked for elsewhere"


def test_a_better_fitting_function_of_another_role_is_not_called(database_url: str) -> None:
    """In PostgreSQL before 15, and in clusters upgraded from there, anybody may create functions in public."""
    name = f"lowly_{uuid.uuid4().hex[:10]}"
    execute(
        database_url,
        f"CREATE ROLE {name}",
        f"GRANT CREATE ON SCHEMA public TO {name}",
        f"SET ROLE {name}; CREATE FUNCTION ingest_make_partitions(date, smallint) RETURNS SETOF text LANGUAGE sql AS "
        "$$ SELECT 'owned' $$",
    )
    try:
        assert "owned" not in Partitions(database_url).create(1)
    finally:
        execute(database_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_url_that_asks_for_a_writable_server_works_for_those_who_only_read(database_url: str) -> None:
    """target_session_attrs is judged while we connect: only then are we read-only."""
    url = database_url + "?target_session_attrs=read-write"

    async def read() -> list[Row]:
        reads = Database(lambda: url, 60)
        try:
            return await reads.rows("SELECT 1 AS one", {})
        finally:
            await reads.close()

    assert asyncio.run(read()) == [{"one": 1}]
    with session(url, replace(QUICK, read_only=True)) as connection, pytest.raises(psycopg.Error, match="read-only"):
        connection.execute("CREATE TABLE t ()")


@pytest.fixture
def proxied(database_url: str) -> Iterator[tuple[Proxy, str]]:
    with Proxy(int(urlsplit(database_url).port or 0)) as proxy:
        yield proxy, through(database_url, proxy.port)


def test_a_server_that_falls_silent_is_an_outage(proxied: tuple[Proxy, str]) -> None:
    """No timeout of the server's helps against a stalled proxy, and TCP hears from it all the time."""
    proxy, url = proxied

    def ask() -> None:
        with session(url, QUICK) as connection:
            proxy.freeze()
            connection.execute("SELECT 1")

    with pytest.raises(StoreUnavailable, match="has said nothing"):
        ask()


def test_a_shim_gives_a_silent_server_up_too(proxied: tuple[Proxy, str]) -> None:
    """A read is answered 503, and the next one finds a new connection."""
    proxy, url = proxied

    async def ask() -> tuple[Any, ...]:
        connection = await connect_async(url, QUICK)
        proxy.freeze()
        with pytest.raises(psycopg.OperationalError, match="has said nothing"):
            await connection.execute("SELECT 1")
        assert connection.closed
        async with await connect_async(url, QUICK) as fresh:
            row = await (await fresh.execute("SELECT 1")).fetchone()
        return row or ()

    assert asyncio.run(ask()) == (1,)


def test_a_stuck_database_does_not_hang_the_first_commands_of_an_operator(
    amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Somebody holds the letters' table: `status` and `doctor` say what they can, and why not more."""
    for module in (status, doctor):
        assert 0 < module._PURPOSE.statement < module._PURPOSE.silence <= 15
        monkeypatch.setattr(module, "_PURPOSE", replace(module._PURPOSE, statement=0.3))
    settings = Settings(amqp_url=amqp_url, database_url=database_url)
    monkeypatch.setattr(status, "look_at_letters", lambda _: {})
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE")
        assert "timeout" in status.gather(settings, tmp_path)["faults"]["database"]
        found = {each.check: each for each in doctor.check_database(settings)}
    assert found["database version"].level == "ok"
    assert "timeout" in found["database"].finding


def test_a_connection_is_listed_under_its_name(database_url: str) -> None:
    """Whoever looks into pg_stat_activity sees what each of ours is for."""
    connection = connect(database_url, QUICK)
    row = connection.execute(
        "SELECT application_name FROM pg_stat_activity WHERE pid = %s", [connection.info.backend_pid]
    ).fetchone()
    connection.close()
    assert row == ("chef-ingest test",)


def test_nobody_connects_in_a_way_of_his_own() -> None:
    """Only the soak does, which plays another program."""
    dialling = {
        str(path.relative_to(ROOT))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "connect"
        and ast.unparse(node.value).endswith(("psycopg", "Connection"))
    }
    assert {each for each in dialling if not each.startswith("ingest/soak/")} == {"consumers/database/connection.py"}


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused_before_anything_is_done(database_url: str, encoding: str) -> None:
    """It could not hold every name, nor the letter of a message that it can't hold; the doctor says so too."""
    name = f"odd_{uuid.uuid4().hex[:10]}"
    execute(database_url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = urlsplit(database_url)._replace(path=f"/{name}").geturl()
    try:
        with pytest.raises(Misconfigured, match=f"encoding is {encoding}"):
            migrate(url)
        with session(url, QUICK) as connection:
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        found = [each.finding for each in doctor.check_database(Settings(database_url=url)) if each.level == "broken"]
        assert found == [f"the encoding is {encoding}"]
    finally:
        execute(database_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_whoever_has_nothing_to_migrate_needs_no_right_to_create(database_url: str) -> None:
    """A role that reads and writes our tables runs `migrate`, and `up`, where the schema is current."""
    name = f"modest_{uuid.uuid4().hex[:10]}"
    execute(
        database_url,
        f"CREATE ROLE {name} LOGIN PASSWORD 'x'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
    )
    parts = urlsplit(database_url)
    try:
        assert migrate(parts._replace(netloc=f"{name}:x@{parts.netloc.rpartition('@')[2]}").geturl()) == []
    finally:
        execute(database_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.mark.parametrize(
    "shell",
    [
        {"PGSSLMODE": "require", "PGCHANNELBINDING": "require", "PGSSLNEGOTIATION": "direct"},
        {"PGSERVICE": "nowhere", "PGREQUIREAUTH": "none"},
        {"PGHOST": "db.example", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGTARGETSESSIONATTRS": "standby"},
        {"PGOPTIONS": "-c search_path=elsewhere", "PGTZ": "Asia/Kolkata", "PGDATESTYLE": "German"},
    ],
    ids=lambda shell: next(iter(shell)),
)
def test_a_private_server_takes_nothing_from_the_shell(
    servers: LocalStack, shell: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's PG* variables are meant for other servers."""
    assert servers.postgres is not None
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    with session(servers.postgres.url, QUICK) as connection:
        assert connection.execute("SELECT now()::date = current_date").fetchone() == (True,)
