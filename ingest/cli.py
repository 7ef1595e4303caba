"""The command line: each command reads the configuration, calls one function of the library, and exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from ingest.configuration import configure, described
from ingest.local.install import ServersMissing
from ingest.local.processes import ProcessFailed
from ingest.local.state import StateError
from ingest.output import FORMATS, print_rows
from schemas.settings import ConfigError, Settings

EXIT_FAILED, EXIT_UNAVAILABLE, EXIT_CONFIGURATION = 1, 69, 78

output_option = click.option(
    "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="For people or for scripts."
)
state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".local"),
    show_default=True,
    envvar="INGEST_STATE",
    help="Folder of the private local stack.",
)


def says_what_is_wrong(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns what stops a command into one message and its exit code."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            _stop(EXIT_CONFIGURATION, error.faults)
        except Misconfigured as error:
            _stop(EXIT_CONFIGURATION, [str(error)])
        except (BrokerUnavailable, StoreUnavailable, ServersMissing) as error:
            _stop(EXIT_UNAVAILABLE, [str(error)])
        except (StateError, ProcessFailed) as error:
            _stop(EXIT_FAILED, [str(error)])

    return wrapped


def _stop(code: int, faults: list[str]) -> None:
    for fault in faults:
        click.echo(f"chef-ingest: {fault}", err=True)
    sys.exit(code)


def _settings(**overrides: Any) -> Settings:
    given = {name: str(value) for name, value in overrides.items() if value is not None}
    return configure({**os.environ, **given}).settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chef-ingest")
def main() -> None:
    """Takes what Chef servers and chef-clients report into PostgreSQL, exactly once.

    Exit codes: 0 done; 1 failed, or something was found invalid; 2 wrong usage; 69 the broker or the database
    can't be reached; 78 the configuration has to change; 130 and 143 ended by a signal.
    """


@main.command()
@state_option
@click.option("--listen", metavar="HOST:PORT", help="Where the HTTP shim listens.")
@click.option("--consumers", type=click.IntRange(1), metavar="N", help="Consumer processes.")
@click.option("--demo", is_flag=True, help="Post a demonstration and print what was answered and stored.")
@says_what_is_wrong
def up(state: Path, listen: str | None, consumers: int | None, demo: bool) -> None:
    """Start a private local stack and serve until Ctrl-C.

    Prints one line `ready http://HOST:PORT` on standard output once everything answers; logs go to standard
    error. AMQP_URL and DATABASE_URL in the environment replace its RabbitMQ or its PostgreSQL.
    """
    from ingest.up import run_up

    sys.exit(run_up(state, dict(os.environ), listen=listen, consumers=consumers, demo=demo))


@main.command()
@says_what_is_wrong
@click.option("--listen", metavar="HOST:PORT", help="Overrides INGEST_LISTEN.")
def serve(listen: str | None) -> None:
    """Run the HTTP shim: it takes POSTs and puts them in the queue."""
    from ingest.serve import serve as run

    sys.exit(run(_settings(INGEST_LISTEN=listen)))


@main.command()
@click.option(
    "-n", "--workers", type=click.IntRange(1), metavar="N", help="Consumer processes; overrides INGEST_CONSUMERS."
)
@says_what_is_wrong
def consume(workers: int | None) -> None:
    """Run consumer processes: they judge what is queued and store it.

    SIGTERM and SIGINT drain: what was received is committed and acked, or given back.
    """
    from consumers.supervisor import run_supervisor
    from ingest import logs

    settings = _settings(INGEST_CONSUMERS=workers)
    logs.configure(settings)
    sys.exit(run_supervisor(settings.consumers, settings.drain_seconds + 5))


@main.command(hidden=True)
@click.option("--lane", type=click.Choice(["main", "quarantine"]), default="main")
@says_what_is_wrong
def worker(lane: str) -> None:
    """Run one consumer process; `consume` starts these."""
    from consumers.failpoints import from_environment
    from consumers.worker import run_worker
    from ingest import logs

    settings = _settings()
    failpoint = from_environment(os.environ)
    logs.configure(settings)
    sys.exit(run_worker(settings, lane, _version(), failpoint))


@main.command()
@says_what_is_wrong
def migrate() -> None:
    """Bring the database's schema up to this program's."""
    from consumers.migrations import migrate as apply

    applied = apply(_settings().database_url)
    click.echo(f"applied {', '.join(applied)}" if applied else "nothing to do: the schema is current")


@main.group()
def topology() -> None:
    """The broker's exchanges, queues and bindings."""


@topology.command("declare")
@says_what_is_wrong
def topology_declare() -> None:
    """Declare what is missing; say which argument differs where it can't."""
    from consumers.connect import connect
    from consumers.declare import declare

    settings = _settings()
    connection = connect(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest topology")
    declare(connection)
    connection.close()
    click.echo("declared: every exchange, queue and binding is there")


@topology.command("show")
@output_option
def topology_show(output: str) -> None:
    """Print what `declare` declares; reads nothing from a broker."""
    from schemas.topology import rows

    print_rows(rows(), output, sys.stdout)


@main.command()
@state_option
@says_what_is_wrong
def env(state: Path) -> None:
    """Print AMQP_URL, DATABASE_URL and INGEST_URL of a running local stack."""
    from ingest.local.state import read_environment

    for name, value in read_environment(state).items():
        click.echo(f"{name}={value}")


@main.command()
@output_option
@says_what_is_wrong
def config(output: str) -> None:
    """Print every setting, its value, and where it came from; secrets are masked."""
    columns = ("variable", "value", "unit", "origin", "help")
    print_rows(described(configure(os.environ)), output, sys.stdout, columns)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--door", type=click.Choice(["http", "chef"]), default="http", show_default=True,
              help="Judge as a POST, or as a Chef server's own message.")  # fmt: skip
@output_option
@says_what_is_wrong
def validate(files: tuple[Path, ...], door: Any, output: str) -> None:
    """Judge FILES offline: would each be stored? Exit 1 if one would not."""
    from ingest.validate import validate_file
    from schemas.judge import Judge

    settings = _settings()
    judge = Judge.from_settings(settings)
    profile = settings.chef_profile if door == "chef" else settings.http_profile
    rows = [validate_file(judge, path, door) | {"profile": profile} for path in files]
    print_rows(rows, output, sys.stdout)
    sys.exit(EXIT_FAILED if any(row["verdict"] == "invalid" for row in rows) else 0)


def _version() -> str:
    from importlib.metadata import version

    return version("chef-ingest")
