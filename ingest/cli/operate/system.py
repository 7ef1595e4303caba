"""The operator's commands: run and scale consumers, look at a running system, keep its house."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from ingest.cli.dead.options import os_user
from ingest.cli.operate.machines import ask_elsewhere, database, machines, pause, resume
from ingest.cli.operate.spool import spool
from ingest.cli.options import (
    EXIT_FAILED,
    control_option,
    insecure_option,
    output_option,
    says_what_is_wrong,
    settings_from,
    version,
)
from ingest.cli.output import print_rows
from ingest.cli.servers import running, settings_at, spool_at, staying, talking


@click.command()
@click.option(
    "-n", "--workers", type=click.IntRange(1), metavar="N", help="Consumer processes; overrides INGEST_CONSUMERS."
)
@click.option("--auto", metavar="MIN..MAX", help="Choose their number by the backlog; overrides INGEST_SCALE_AUTO.")
@click.option(
    "--drain-target",
    metavar="SECONDS",
    help="How soon a backlog should be gone, for --auto.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Answer Prometheus here; overrides INGEST_METRICS_LISTEN.")
@insecure_option
@control_option
@says_what_is_wrong
def consume(
    workers: int | None,
    auto: str | None,
    drain_target: str | None,
    metrics: str | None,
    insecure_no_auth: bool,
    state: Path | None,
) -> None:
    """Run consumer processes: they judge what is queued and store it.

    Signals: TERM drains (what was received is committed and acked), INT and QUIT hurry (what is not committed
    goes back to its queue), a second TERM too; HUP reads the configuration anew and replaces the workers one by
    one; TTIN and TTOU add and take away a worker; USR2 logs the state. KILL is always safe. Exit codes: 0 told to
    stop; 78 the configuration has to change.
    """
    from consumers.runtime.systemd import Notifier
    from consumers.supervisor.control import state_folder
    from consumers.supervisor.supervisor import Supervisor, worker_command
    from ingest.access.exposure import check_metrics_exposure
    from ingest.telemetry import logs

    given = {
        "INGEST_CONSUMERS": workers,
        # A number on the command line is meant, whatever the environment says of choosing one.
        "INGEST_SCALE_AUTO": "" if workers and not auto else auto,
        "INGEST_DRAIN_TARGET_SECONDS": None if drain_target is None else drain_target.removesuffix("s"),
        "INGEST_METRICS_LISTEN": metrics,
        "INGEST_INSECURE_NO_AUTH": insecure_no_auth or None,
    }
    folder = state_folder(state, os.environ)
    servers = staying(folder, **given)
    settings = servers.loaded.settings
    check_metrics_exposure(settings)
    logs.configure(settings)
    servers.log()
    supervisor = Supervisor(
        settings,
        command=worker_command,
        reload=lambda: settings_from(**given),
        state=folder,
        version=version(),
        notifier=Notifier(os.environ),
    )
    sys.exit(supervisor.run())


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("to", metavar="N|+N|-N|auto")
@click.option("--host", metavar="HOST", help="The `consume` of another machine, as `status` names it.")
@control_option
@output_option
@says_what_is_wrong
def scale(to: str, host: str | None, state: Path | None, output: str) -> None:
    """Tell a running `consume` how many workers to run, or to choose by itself.

    Returns once it is told, which takes a few seconds for another machine's; `status` shows the workers come and go.
    """
    from consumers.supervisor.control import ask, state_folder

    wants = {"verb": "scale", "to": to}
    answer = ask_elsewhere(host, wants) if host else ask(state_folder(state, os.environ), wants)
    print_rows([answer], output, sys.stdout)


@click.command()
@control_option
@click.option("--watch", is_flag=True, help="Draw it again every second until q; +, - and a scale, p pauses.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people or for scripts.",
)
@says_what_is_wrong
def status(state: Path | None, watch: bool, output: str) -> None:
    """Show how the system is: the verdict, what is blocked or wrong and why, workers, the last hour, queues, letters.

    Exit 1 if the broker, the database or the supervisor can't be seen, or something is blocked; what is wrong
    otherwise, as the alerts would say it, changes no exit code.
    """
    from consumers.supervisor.control import state_folder
    from ingest.cli.screen import status as screen
    from ingest.diagnostics.status import gather

    folder = state_folder(state, os.environ)
    servers = talking(folder)
    settings = servers.loaded.settings
    url, spooled = running(folder).get("INGEST_URL", ""), spool_at(folder, settings)

    def look() -> dict[str, Any]:
        found = gather(settings, folder, url, spooled)
        faults = {part: "; ".join((why, *servers.blamed(why))) for part, why in found["faults"].items()}
        return found | {"faults": faults}

    if watch:
        screen.watch(look, folder, screen.Switch(partial(database, settings), os_user))
    elif not screen.show(look, output):
        sys.exit(EXIT_FAILED)


@click.command()
@click.option("--management", metavar="URL", help="RabbitMQ's management API; overrides INGEST_MANAGEMENT_URL.")
@output_option
@says_what_is_wrong
def doctor(management: str | None, output: str) -> None:
    """Look at versions, permissions, topology, policies, alarms, schema, partitions and clocks; change nothing.

    Every finding comes with its remedy. Exit codes: 0 fine; 2 warnings; 1 broken.
    """
    from consumers.supervisor.control import state_folder
    from ingest.diagnostics.doctor import examine, exit_code, rows

    folder = state_folder(None, os.environ)
    servers = talking(folder)
    settings = servers.loaded.settings
    findings = [
        replace(each, finding="; ".join((each.finding, *servers.blamed(each.finding))))
        if each.level == "broken"
        else each
        for each in examine(settings, management, spool_at(folder, settings))
    ]
    print_rows(rows(findings), output, sys.stdout)
    sys.exit(exit_code(findings))


@click.command()
@click.option("--hours", type=click.IntRange(1, 24 * 366), default=24, show_default=True, help="How far back.")
@control_option
@output_option
@says_what_is_wrong
def audit(hours: int, state: Path | None, output: str) -> None:
    """Balance the ledger of the running system, by hour, and name the gap.

    Acknowledged = stored + during a run + duplicates + merged + letters + told + in flight; what is merged told more of
    a run or a node that is stored, of what is told no letter was kept beyond a bound, and its sender knows. What shims
    acknowledged is what they wrote down (every few seconds); what Chef servers published is counted when a worker takes
    it. Of what is stored, late_run are actions that came before their run was known: those by which a node registered,
    and others that overtook its start; workers count an hour once it is past. Exit 1 if acknowledged messages are
    missing.
    """
    from consumers.supervisor.control import state_folder
    from ingest.diagnostics.audit import audit as balance

    folder = state_folder(state, os.environ)
    settings = settings_at(folder)
    found = balance(settings, folder, hours, spool=spool_at(folder, settings))
    print_rows(found.ledger.rows(), output, sys.stdout)
    click.echo(f"{found.verdict}: {found.text}", err=True)
    sys.exit(EXIT_FAILED if found.verdict == "missing" else 0)


@click.command()
@output_option
@says_what_is_wrong
def drift(output: str) -> None:
    """List what senders write otherwise than is documented: what, how often, since when, an example.

    Of actions that are taken all the same, and of what became a letter at the data collector's door.
    """
    from consumers.ledger.drift import listed

    print_rows(listed(settings_at().database_url), output, sys.stdout)


@click.group()
def partitions() -> None:
    """The monthly partitions: list them, make them ahead, drop old ones."""


@partitions.command("list")
@output_option
@says_what_is_wrong
def partitions_list(output: str) -> None:
    """Every partition with its months, estimated rows and bytes."""
    from consumers.database.partitions import Partitions

    print_rows(Partitions(settings_at().database_url).listed(), output, sys.stdout)


@partitions.command("create")
@click.option("--months", type=click.IntRange(1, 120), metavar="N", help="How many after this one.")
@says_what_is_wrong
def partitions_create(months: int | None) -> None:
    """Make this month's partition and those of the next months; workers do it too, hourly."""
    from consumers.database.partitions import Partitions

    settings = settings_at()
    made = Partitions(settings.database_url).create(months or settings.partitions_ahead)
    click.echo(f"made {', '.join(made)}" if made else "nothing to do: they are there")


@partitions.command("drop")
@click.option("--before", required=True, metavar="YYYY-MM", help="The first month that stays.")
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would be done.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as without --yes.")
@output_option
@says_what_is_wrong
def partitions_drop(before: str, yes: bool, dry_run: bool, output: str) -> None:
    """Drop all that is older than a month: partitions, the ids they leave, and runs.

    Nothing is done without --yes. Reading and writing go on meanwhile. Never this month's or later.
    """
    from datetime import UTC, datetime

    from consumers.database.partitions import DropRefused, Partitions, parse_month

    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run contradict each other")
    try:
        month = parse_month(before, datetime.now(UTC).date())
    except DropRefused as refused:
        raise click.UsageError(str(refused)) from None
    repository = Partitions(settings_at(changing=True).database_url)
    steps = repository.drop(month, lambda line: click.echo(line, err=True)) if yes else repository.plan(month)
    print_rows([asdict(step) for step in steps], output, sys.stdout)
    if not steps:
        click.echo(f"nothing is older than {before}", err=True)
    elif not yes:
        click.echo("nothing was changed; do it by --yes", err=True)


COMMANDS = (consume, scale, pause, resume, status, machines, doctor, audit, drift, partitions, spool)
