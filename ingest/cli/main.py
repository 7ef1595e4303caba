"""The command line: each command reads the configuration, calls one function of the library, and exits."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
from pathlib import Path

import click

from ingest.cli.access.keys import keys
from ingest.cli.access.token import token
from ingest.cli.completion import completion
from ingest.cli.configuration import described
from ingest.cli.console import console, installed
from ingest.cli.dead.commands import dead, import_files
from ingest.cli.lookup.actions import actions
from ingest.cli.lookup.nodes import nodes
from ingest.cli.lookup.runs import runs
from ingest.cli.operate.system import COMMANDS
from ingest.cli.options import (
    EXIT_FAILED,
    Program,
    insecure_option,
    output_option,
    says_what_is_wrong,
    settings_from,
    state_option,
    version,
)
from ingest.cli.output import console as written
from ingest.cli.output import print_rows
from ingest.cli.servers import begun, settings_at, staying, talking
from ingest.cli.soak import soak
from schemas.doors import IMPLIED, PROFILES, WORDS
from schemas.labels import LANES


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
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
@insecure_option
@click.option("--demo", is_flag=True, help="Post a demonstration and print what was answered and stored.")
@click.option("--logs", is_flag=True, help="Show the shim's and the consumers' logs here, not in logs/ of the folder.")
@says_what_is_wrong
def up(state: Path, listen: str | None, consumers: int | None, insecure_no_auth: bool, demo: bool, logs: bool) -> None:
    """Start a private local stack and serve until Ctrl-C.

    Prints one line `ready http://HOST:PORT` on standard output once everything answers: port 8080, or the next that is
    free, unless one is named. What it is doing goes to standard error. AMQP_URL and DATABASE_URL in the environment
    replace its RabbitMQ or its PostgreSQL. Exit codes: 0 told to stop; 130 and 143 told so before it was ready.
    """
    from ingest.local.steps import Steps
    from ingest.local.up import run_up

    environ = os.environ | ({"INGEST_INSECURE_NO_AUTH": "true"} if insecure_no_auth else {})
    steps = Steps(written(sys.stderr))
    sys.exit(
        run_up(
            begun(state, environ),
            state,
            environ,
            listen=listen,
            consumers=consumers,
            demo=demo,
            logs=logs,
            console=installed(),
            steps=steps,
        )
    )


@main.command()
@says_what_is_wrong
@click.option("--listen", metavar="HOST:PORT", help="Overrides INGEST_LISTEN.")
@insecure_option
@click.option("--check", is_flag=True, help="Read tokens, keys and certificates as a reload would, and exit.")
@click.option("--listen-fd", type=int, hidden=True, help="A socket that listens already, inherited from `up`.")
def serve(listen: str | None, insecure_no_auth: bool, check: bool, listen_fd: int | None) -> None:
    """Run the HTTP shim: it takes POSTs and puts them in the queue.

    SIGTERM and SIGINT finish what is under way; SIGHUP reads tokens and certificates again, each by itself: /readyz,
    metrics and `status` tell what it could not use, and so does --check, by exit code 78.
    """
    from consumers.supervisor.control import state_folder
    from ingest.telemetry import logs

    given = {"INGEST_LISTEN": listen, "INGEST_INSECURE_NO_AUTH": insecure_no_auth or None}
    servers = staying(state_folder(None, os.environ), **given)
    settings = servers.loaded.settings
    if check:
        from ingest.access.gate import Gate

        Gate.from_settings(settings)
        click.echo("tokens, keys and certificates can be used")
        return
    from ingest.shim.server import serve as run

    logs.configure(settings)
    servers.log()
    inherited = None if listen_fd is None else socket.socket(fileno=listen_fd)
    sys.exit(run(settings, lambda: settings_from(**given), inherited))


@main.command(hidden=True)
@click.option("--lane", type=click.Choice(LANES), default="main")
@click.option("--report-fd", type=int, help="The supervisor's line, inherited from it.")
@says_what_is_wrong
def worker(lane: str, report_fd: int | None) -> None:
    """Run one consumer process; `consume` starts these."""
    from consumers.runtime.failpoints import from_environment
    from consumers.telemetry.tracing import batch_spans
    from consumers.worker.process import run_worker
    from ingest.telemetry import logs
    from ingest.telemetry.tracing import tracer_provider

    settings = settings_from()
    failpoint = from_environment(os.environ)
    logs.configure(settings)
    provider = tracer_provider(os.environ, "chef-ingest-worker", version())
    traced = {} if provider is None else {"observe": batch_spans(provider)}
    sys.exit(run_worker(settings, lane, version(), failpoint, report_fd=report_fd, reread=settings_from, **traced))


@main.command()
@says_what_is_wrong
def migrate() -> None:
    """Bring the database's schema up to this program's."""
    from consumers.database.migrations import migrate as apply
    from consumers.database.partitions import Partitions

    settings = settings_at(changing=True)
    applied = apply(settings.database_url)
    click.echo(f"applied {', '.join(applied)}" if applied else "nothing to do: the schema is current")
    made = Partitions(settings.database_url).create(settings.partitions_ahead)
    click.echo(f"partitions made: {', '.join(made)}" if made else "partitions: there are enough ahead")


@main.group()
def topology() -> None:
    """The broker's exchanges, queues and bindings."""


@topology.command("declare")
@says_what_is_wrong
def topology_declare() -> None:
    """Declare what is missing; say which argument differs where it can't."""
    from consumers.broker.connection import connect
    from consumers.broker.declare import declare

    settings = settings_at()
    connection = connect(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest topology")
    unsure = declare(connection)
    connection.close()
    if unsure:
        click.echo(f"not allowed to declare; all is there, but these could not be compared: {', '.join(unsure)}")
    else:
        click.echo("declared: every exchange, queue and binding is there")


@topology.command("show")
@output_option
def topology_show(output: str) -> None:
    """Print what `declare` declares; reads nothing from a broker."""
    from schemas.topology import rows

    print_rows(rows(), output, sys.stdout)


@main.command()
@state_option
@click.option("--format", "form", type=click.Choice(["shell", "dotenv", "json"]), default="shell", show_default=True,
              help="Lines for a shell's eval, lines NAME=VALUE, or one JSON object.")  # fmt: skip
@says_what_is_wrong
def env(state: Path, form: str) -> None:
    """Print AMQP_URL, DATABASE_URL and INGEST_URL of a running local stack: eval "$(chef-ingest env)"."""
    from ingest.local.state import read_environment

    known = read_environment(state)
    found = {name: known[name] for name in ("AMQP_URL", "DATABASE_URL", "INGEST_URL") if name in known}
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{'export ' if form == 'shell' else ''}{name}={shlex.quote(value)}")


@main.command()
@output_option
@says_what_is_wrong
def config(output: str) -> None:
    """Print every setting, its value, and where it came from; secrets are masked."""
    columns = ("variable", "value", "unit", "origin", "help")
    print_rows(described(talking().loaded), output, sys.stdout, columns)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--door", type=click.Choice(WORDS), default=IMPLIED, show_default=True,
              help="Judge as a POST, or as a Chef server's own message.")  # fmt: skip
@output_option
@says_what_is_wrong
def validate(files: tuple[Path, ...], door: str, output: str) -> None:
    """Judge FILES offline: would each be stored? Exit 1 if one would not."""
    from ingest.cli.validate import validate_file
    from schemas.validation.judge import Judge

    settings = settings_from()
    judge = Judge.from_settings(settings)
    profile = getattr(settings, PROFILES[door])
    rows = [validate_file(judge, path, door) | {"profile": profile} for path in files]
    print_rows(rows, output, sys.stdout)
    sys.exit(EXIT_FAILED if any(row["verdict"] == "invalid" for row in rows) else 0)


for each in (*COMMANDS, console, runs, actions, nodes, dead, import_files, token, keys, completion, soak):
    main.add_command(each)
