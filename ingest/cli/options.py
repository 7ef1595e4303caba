"""What every command shares: its options, where its settings come from, and how it says what is wrong."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from consumers.dead_letters.errors import RepositoryError
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.supervisor.control import ControlError
from ingest.cli.configuration import configure
from ingest.cli.output import FORMATS
from ingest.local.install import ServersMissing
from ingest.local.processes import ProcessFailed
from ingest.local.state import StateError
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
insecure_option = click.option(
    "--insecure-no-auth", is_flag=True, help="Listen beyond loopback though anybody could then post, or read metrics."
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
        except (StateError, ProcessFailed, ControlError, RepositoryError) as error:
            _stop(EXIT_FAILED, [str(error)])

    return wrapped


def _stop(code: int, faults: list[str]) -> None:
    for fault in faults:
        click.echo(f"chef-ingest: {fault}", err=True)
    sys.exit(code)


def settings_from(**overrides: Any) -> Settings:
    """The settings of this process; an override that is not None beats its variable."""
    given = {name: str(value) for name, value in overrides.items() if value is not None}
    return configure({**os.environ, **given}).settings


def version() -> str:
    """This program's version."""
    return importlib.metadata.version("chef-ingest")
