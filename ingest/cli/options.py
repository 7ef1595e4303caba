"""What every command shares: its options, where its settings come from, and how it says what is wrong."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from consumers.dead_letters.errors import RepositoryError
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.machines.errors import NotAsked
from consumers.supervisor.control import ControlError
from ingest.cli.configuration import configure
from ingest.cli.output import FORMATS, WIDE, OutputFailed, guarded, say
from ingest.cli.servers import blamed
from ingest.local.install import ServersMissing
from ingest.local.processes import ProcessFailed
from ingest.local.state import StateError
from schemas.printable import printable
from schemas.settings import ConfigError, Settings

EXIT_FAILED, EXIT_UNAVAILABLE, EXIT_CONFIGURATION = 1, 69, 78


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `output`; `--wide` is for whoever prints its tables."""
    command = click.option("--wide", is_flag=True, expose_value=False, callback=_widen,
                           help="All of a table, however long its lines are.")(command)  # fmt: skip
    return click.option(
        "--output", type=click.Choice(FORMATS), default="table", show_default=True, help="For people or for scripts."
    )(command)


def _widen(context: click.Context, _option: click.Parameter, value: bool) -> None:
    context.meta[WIDE] = value


state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".local"),
    show_default=True,
    envvar="INGEST_STATE",
    help="Folder of the private local stack.",
)
control_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="INGEST_STATE",
    help="Folder of the supervisor's socket. Default: .local where there is one, else /run/chef-ingest.",
)
insecure_option = click.option(
    "--insecure-no-auth", is_flag=True, help="Listen beyond loopback though anybody could then post, or read metrics."
)


def says_what_is_wrong(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns what stops a command into one message and its exit code."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        kwargs = as_text(kwargs)
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            _stop(EXIT_CONFIGURATION, error.faults)
        except Misconfigured as error:
            _stop(EXIT_CONFIGURATION, [str(error), *blamed(error)])
        except (BrokerUnavailable, StoreUnavailable, ServersMissing) as error:
            _stop(EXIT_UNAVAILABLE, [str(error), *blamed(error)])
        except (StateError, ProcessFailed, ControlError, NotAsked, RepositoryError) as error:
            _stop(EXIT_FAILED, [str(error)])
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

    return wrapped


def _stop(code: int, faults: list[str]) -> None:
    for fault in faults:
        say(f"chef-ingest: {fault}")
    sys.exit(code)


class Program(click.Group):
    """`chef-ingest`: whatever a command prints goes through guarded streams, and is all printed or said not to be."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As click's, with exit code 1 where the output can't be written: quietly where its reader has gone."""
        _take_closed_streams()
        try:
            with guarded():
                return super().main(*args, **kwargs)
        except OutputFailed as failed:
            if not failed.quiet:
                with guarded():
                    say(f"chef-ingest: {failed}")
            sys.exit(EXIT_FAILED)


def _take_closed_streams() -> None:
    """What is opened next would get a closed stream's number, and what is written for the log or a terminal with it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def as_text(given: Any) -> Any:
    """An argument (or several, by name or in a row) as text, whatever the locale: UTF-8.

    Raises UsageError for what is none: no name, reason or number is written so. Paths may be.
    """
    if isinstance(given, dict):
        return {name: as_text(value) for name, value in given.items()}
    if type(given) is tuple:
        return tuple(as_text(value) for value in given)
    if not isinstance(given, str) or not any("\udc80" <= character <= "\udcff" for character in given):
        return given
    try:
        return os.fsencode(given).decode()
    except UnicodeError:
        raise click.UsageError(f"{printable(given)} is not UTF-8") from None


def settings_from(**overrides: Any) -> Settings:
    """The settings of this process; an override that is not None beats its variable."""
    given = {name: str(value) for name, value in overrides.items() if value is not None}
    return configure({**os.environ, **given}).settings


def version() -> str:
    """This program's version."""
    return importlib.metadata.version("chef-ingest")
