"""THE connect: everybody's connection to PostgreSQL is from here, with a name, bounded waits and our settings."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from consumers.database import statements
from consumers.database.deadline import limited
from consumers.database.errors import translated

_TRIES: Final = 20
"""A role's own statement_timeout may be too short even for the statement that replaces it."""
_PREPARE_AFTER: Final = 5
"""Executions of a statement before it is prepared: psycopg's own default."""

_READ_ALIKE: Final[dict[str, str]] = {
    # Whatever the role, the database, the server or the shell says of them.
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "standard_conforming_strings": "on",
}
"""The server reports these to its client, and so a pooler gives each of its clients his own."""
_GREETING_SECONDS: Final = 40.0

_SAID: Final = {"user", "password", "host", "port", "dbname"}
_OWN_ADDRESS: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a connection is for: `name` is what the server lists it under.

    Seconds: `connect` for each host of the URL, `statement` for one statement, `lock` for one lock, `silence` before a
    server that says nothing is given up, `idle` in a transaction; 0 is without end.
    """

    name: str
    connect: int = 5
    statement: float = 30
    lock: float = 0
    silence: float = 40
    idle: float = 60
    read_only: bool = False

    def arguments(self) -> dict[str, Any]:
        """What psycopg connects with, beside the URL, whose own `options` are the operator's, and stay."""
        return {
            "autocommit": True,
            "prepare_threshold": None,
            "application_name": self.name,
            "connect_timeout": self.connect,
            "client_encoding": "UTF8",
            # A peer that is gone is noticed by the kernel long before its default of two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }

    def settings(self) -> dict[str, str]:
        """What is set after connecting, besides what all have alike: in the session, or in each transaction."""
        return {
            "statement_timeout": f"{self.statement * 1000:.0f}",
            "lock_timeout": f"{self.lock * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{self.idle * 1000:.0f}",
            "default_transaction_isolation": "read committed",
            # Left alone it says whether this is a standby, and target_session_attrs goes by it.
            **({"default_transaction_read_only": "on"} if self.read_only else {}),
        }


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose server may not fall silent: longer than `silence`, and it fails as in an outage.

    `pooled`: a pooler (PgBouncer) stands before the server, and may give each transaction another session. So nothing
    is prepared there, and what is set is set for a transaction.
    """

    silence: float = 0
    pooled: bool = False
    settle: tuple[bytes, Mapping[str, Any]] | None = None
    """With what each transaction begins, behind a pooler."""

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """psycopg's one place where a connection waits for its server. Raises OperationalError after `silence`."""
        steps = limited(gen, self.silence, self.pgconn.finish) if self.silence else gen
        return super().wait(steps, *args, **options)

    @contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Any]:
        """As psycopg's; behind a pooler, the outermost one begins with our settings."""
        outermost = self.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if outermost and self.settle is not None:
                self.execute(*self.settle)
            yield transaction


class AsyncConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same for the shim's loop: each statement a transaction of its own."""

    silence: float = 0
    pooled: bool = False
    settle: tuple[bytes, Mapping[str, Any]] | None = None

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        """As Connection's."""
        steps = limited(gen, self.silence, self.pgconn.finish) if self.silence else gen
        return await super().wait(steps, *args, **options)


def looking(name: str, seconds: float) -> Purpose:
    """Of who only reads, and waits so long for a statement."""
    return Purpose(name, statement=seconds, silence=seconds + 2, read_only=True)


def libpq_version() -> str:
    """Of the library by which we talk to PostgreSQL."""
    number = psycopg.pq.version()
    return f"{number // 10000}.{number % 10000}"


def connect(database_url: str, purpose: Purpose) -> Connection:
    """An autocommitting connection. Raises StoreUnavailable, or Misconfigured when waiting would not help."""
    try:
        connection = Connection.connect(heeding(database_url), **purpose.arguments())
        try:
            _begin(connection, purpose)
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        raise translated(error, database_url) from error
    return connection


@contextmanager
def session(database_url: str, purpose: Purpose) -> Iterator[Connection]:
    """A connection for the block, and whatever the database raises in it translated. Raises as `connect` does."""
    connection = connect(database_url, purpose)
    try:
        yield connection
    except psycopg.Error as error:
        raise translated(error, database_url) from error
    finally:
        connection.close()


async def connect_async(database_url: str, purpose: Purpose) -> AsyncConnection:
    """For the shim's loop. Raises psycopg.Error."""
    connection = await AsyncConnection.connect(heeding(database_url), **purpose.arguments())
    try:
        await begin(connection, purpose)
    except BaseException:
        await connection.close()
        raise
    return connection


async def begin(connection: AsyncConnection, purpose: Purpose) -> None:
    """What makes a fresh connection one of ours. Raises psycopg.Error."""
    steps = _greeting(connection, purpose)
    answer: Any = None
    try:
        while True:
            statement, values = steps.send(answer)
            for tried in range(_TRIES):
                try:
                    cursor = await connection.execute(statement, values)
                    break
                except psycopg.errors.QueryCanceled:
                    if tried == _TRIES - 1:
                        raise
            answer = await cursor.fetchone()
    except StopIteration:
        return


def _begin(connection: Connection, purpose: Purpose) -> None:
    steps = _greeting(connection, purpose)
    answer: Any = None
    try:
        while True:
            statement, values = steps.send(answer)
            for tried in range(_TRIES):
                try:
                    cursor = connection.execute(statement, values)
                    break
                except psycopg.errors.QueryCanceled:
                    if tried == _TRIES - 1:
                        raise
            answer = cursor.fetchone()
    except StopIteration:
        return


def _greeting(
    connection: Connection | AsyncConnection, purpose: Purpose
) -> Generator[tuple[bytes, Mapping[str, Any]], Any, None]:
    """The statements a session begins with; resumed with the first row of each."""
    named = {name: text.encode() for name, text in statements.load("consumers.database", "connection.sql").items()}
    connection.silence = purpose.silence or _GREETING_SECONDS
    backend = yield named["backend"], {}
    connection.pooled = backend[0] != connection.info.backend_pid
    settings = purpose.settings()
    if not connection.pooled:
        connection.prepare_threshold = _PREPARE_AFTER
        yield named["set"], {"name": "statement_timeout", "value": settings["statement_timeout"]}
    home = yield named["home"], {}
    if home is not None:
        settings["search_path"] = f"{home[0]}, pg_temp"
    if connection.pooled:
        connection.settle = named["settle"], _values(settings, local=True)
        yield named["settle"], _values(_READ_ALIKE)
    else:
        yield named["settle"], _values(_READ_ALIKE | settings)
    connection.silence = purpose.silence


def _values(settings: Mapping[str, str], *, local: bool = False) -> Mapping[str, Any]:
    return {"names": list(settings), "values": list(settings.values()), "local": local}


def heeding(database_url: str) -> str:
    """The URL; one that says all of a server at 127.0.0.1, as a local stack's does, takes libpq's variables out of this
    process first. The shell's are meant for other servers, and no URL can override PGSERVICE."""
    if not unreadable(database_url):
        given = conninfo_to_dict(database_url)
        if given.keys() >= _SAID and given["host"] == _OWN_ADDRESS:
            for each in psycopg.pq.Conninfo.get_defaults():
                if each.envvar:
                    os.environ.pop(each.envvar.decode(), None)
    return database_url


def unreadable(database_url: str) -> str:
    """What is wrong with a URL that libpq can't read, in words that hold nothing of it; empty: it can."""
    try:
        given = conninfo_to_dict(database_url)
    except psycopg.Error:
        return "no connection string of libpq, such as postgresql://USER:PASSWORD@HOST:5432/NAME"
    port, name = str(given.get("port") or ""), str(given.get("dbname") or "")
    if port.strip("0123456789,") or ("://" in database_url and "@" in name):
        return "its port is no number or its database no name"
    return ""
