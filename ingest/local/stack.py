"""The local stack as one thing to start and stop: private servers, or the ones that the caller names."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from ingest.local.install import Install, Places, Programs, apt_install, ensure
from ingest.local.postgres import Postgres
from ingest.local.processes import Account, Process, ProcessLedger
from ingest.local.rabbitmq import NODE_PREFIX, RabbitMQ, RabbitMQPorts, node_of
from ingest.local.state import StateFolder

FALLBACK_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class StackUrls:
    """Where the stack's broker (vhost `/analytics`) and database are."""

    amqp_url: str
    database_url: str


class LocalStack:
    """RabbitMQ and PostgreSQL for one state folder; a URL that is given replaces that half.

    Start it in the main thread: the servers then end by themselves should this process be killed.
    `say` gets a line for what is done, `doing` (else `say`) for what takes long; `given_up` is asked meanwhile, and
    ends the start by what it raises. `rabbit` and `postgres` are None where a URL was given.
    """

    def __init__(
        self,
        state: Path,
        *,
        amqp_url: str | None = None,
        database_url: str | None = None,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        doing: Callable[[str], None] | None = None,
        given_up: Callable[[], bool] = lambda: False,
        install: Install = apt_install,
        places: Places | None = None,
    ) -> None:
        self.state = StateFolder(state)
        self.ledger = ProcessLedger(self.state.folder / "processes.json")
        self.rabbit: RabbitMQ | None = None
        self.postgres: Postgres | None = None
        self._given = (amqp_url, database_url)
        self._environ = dict(environ)
        self._path = environ.get("PATH") or FALLBACK_PATH
        self._say = say
        self._doing = doing or say
        self._given_up = given_up
        self._shown = state
        self._install = install
        self._places = places or Places()
        self._undo = ExitStack()
        self._acquired = False

    def acquire(self) -> None:
        """Takes the state folder, for `start` and until `stop`. Raises StateError. Harmless twice."""
        if not self._acquired:
            self.state.acquire()
            self._acquired = True
            self._undo.callback(self._release)

    def _release(self) -> None:
        self._acquired = False
        self.state.release()

    def start(self) -> StackUrls:
        """Brings both halves up, with the data of last time.

        Raises StateError (folder busy), ServersMissing (nothing to run), ProcessFailed (a server does not
        come up, with the end of its log); then, as after Ctrl-C, nothing is left running.
        """
        amqp_url, database_url = self._given
        try:
            self.acquire()
            self.ledger.end_leftovers(self._say)
            self.state.begin_logs()
            programs = ensure(
                postgres=not database_url,
                rabbitmq=not amqp_url,
                environ=self._environ,
                say=self._doing,
                install=self._install,
                places=self._places,
            )
            self._start_servers(programs)
        except BaseException:
            self.stop()
            raise
        urls = StackUrls(
            amqp_url or (self.rabbit.url if self.rabbit else ""),
            database_url or (self.postgres.url if self.postgres else ""),
        )
        self.state.publish(amqp_url=urls.amqp_url, database_url=urls.database_url)
        self.state.enter("running")
        return urls

    def stop(self) -> None:
        """Stops what `start` started: broker, then database, then the folder is free. Harmless twice."""
        self._undo.close()

    def process(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path | None = None,
        stop_seconds: float = 30.0,
        pass_fds: Sequence[int] = (),
        cwd: str = "/",
    ) -> Process:
        """A further child of this stack (shim, consumers), known to the next run should this one be killed.

        The caller spawns and stops it; `stop` does not. Output: standard error, or the end of `log`. `cwd`: the folder
        it runs in.
        """
        return Process(
            name,
            argv,
            env=env,
            log=log,
            ledger=self.ledger,
            stop_signal=signal.SIGTERM,
            stop_seconds=stop_seconds,
            pass_fds=pass_fds,
            cwd=cwd,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_servers(self, programs: Programs) -> None:
        amqp_url, database_url = self._given
        if amqp_url and database_url:
            return
        names = {"RabbitMQ": not amqp_url, "PostgreSQL": not database_url}
        ours = " and ".join(name for name, is_ours in names.items() if is_ours)
        self._doing(f"starting {ours}, with all data in {self._shown}")
        accounts = {"postgres": _account("postgres"), "rabbitmq": _account("rabbitmq")}
        data = self.state.data(accounts.values())
        if not database_url:
            self.postgres = self._postgres(programs, data / "postgres", accounts["postgres"])
            self._undo.callback(self.postgres.stop)
        if not amqp_url:
            self.rabbit = self._rabbit(programs, data / "rabbitmq", accounts["rabbitmq"])
            self._undo.callback(self.rabbit.stop)
        # Both boot at the same time; RabbitMQ takes longer, so it begins.
        servers = [each for each in (self.rabbit, self.postgres) if each is not None]
        for each in servers:
            each.spawn()
            self._given_up()
        for each in reversed(servers):
            each.wait_ready(self._given_up)
            name = "PostgreSQL" if isinstance(each, Postgres) else "RabbitMQ"
            self._say(f"{name} listens at {urlsplit(each.url).netloc.rpartition('@')[2]}")

    def _postgres(self, programs: Programs, folder: Path, account: Account | None) -> Postgres:
        assert programs.postgres is not None
        forgotten = folder.exists() and not self.state.remembers("postgres_password")
        return Postgres(
            binaries=programs.postgres,
            folder=folder,
            log=self.state.logs / "postgres.log",
            port=self.state.port("postgres"),
            password=self.state.secret("postgres_password"),
            new_password=forgotten,
            account=_owner(folder) or account,
            ledger=self.ledger,
            path=self._path,
        )

    def _rabbit(self, programs: Programs, folder: Path, account: Account | None) -> RabbitMQ:
        assert programs.rabbitmq is not None
        assert programs.epmd is not None
        port = self.state.port
        return RabbitMQ(
            scripts=programs.rabbitmq,
            epmd=programs.epmd,
            folder=folder,
            log=self.state.logs / "rabbitmq.log",
            ports=RabbitMQPorts(amqp=port("amqp"), distribution=port("distribution"), epmd=port("epmd")),
            # Data lies under the node's name: one that was forgotten is looked up there.
            node=NODE_PREFIX + self.state.secret("node", node_of(folder))[:8],
            password=self.state.secret("amqp_password"),
            account=_owner(folder) or account,
            ledger=self.ledger,
            path=self._path,
        )


def _account(preferred: str) -> Account | None:
    """Whom a server runs as: us, or somebody without rights when we are root (PostgreSQL refuses root)."""
    if os.geteuid() != 0:
        return None
    for name in (preferred, "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid)
    return Account(65534, 65534)


def _owner(folder: Path) -> Account | None:
    """For root: the owner of data that is there already, so that it stays theirs."""
    if os.geteuid() != 0 or not folder.exists():
        return None
    status = folder.stat()
    return None if status.st_uid == 0 else Account(status.st_uid, status.st_gid)
