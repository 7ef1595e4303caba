"""Which servers a command talks to, those that are named or those of the local stack that runs here, and why these."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import structlog

from consumers.supervisor.control import LOCAL_FOLDER, state_folder
from ingest.cli.configuration import configure
from ingest.cli.output import say
from ingest.local.state import StateError, read_environment
from ingest.spool.place import place
from schemas.settings import Loaded, Settings, mask_url, variable

SERVERS: Final = ("amqp_url", "database_url")
_KEPT: Final = "servers"
"""In a command's context: the Servers that it talks to."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The settings, each with its origin; `stack` are the addresses, by variable, of the local stack that runs in
    `folder`, empty where none does."""

    loaded: Loaded
    folder: Path
    stack: Mapping[str, str]
    starting: bool = False
    """We are the local stack: it has servers of its own but for those that are named."""

    def found(self) -> dict[str, str]:
        """The addresses, by setting, that nobody named: those of the local stack."""
        settings, origins = self.loaded.settings, self.loaded.origins
        return {name: getattr(settings, name) for name in SERVERS if origins[name] == _origin(self.folder)}

    def why(self, name: str) -> str:
        """Where the address `name` (a setting) came from; and what to unset, where a stack runs and has another."""
        label, origin = variable(name), self.loaded.origins[name]
        if self.starting:
            return f"{label} comes from the environment: `unset {label}`, and the local stack starts one of its own"
        words = {
            "default": f"{label} is the default: nothing sets it",
            label: f"{label} comes from the environment variable {label}",
            f"{label}_FILE": f"{label} comes from the file that the environment variable {label}_FILE names",
            _origin(self.folder): f"{label} is that of the {origin}",
        }
        said = words.get(origin, f"{label} comes from the {origin}, which INGEST_CONFIG names")
        alone = "" if self.stack or origin != "default" else f", and no local stack runs in {self.folder}"
        return said + alone + self._elsewhere(name)

    def blamed(self, text: str) -> list[str]:
        """`why`, for each address that a text about a failure names."""
        named = [name for name in SERVERS if f"{variable(name)} " in text]
        return [self.why(name) for name in named if not self.starting or self.loaded.origins[name] == variable(name)]

    def log(self) -> None:
        """The addresses, without passwords, and where each came from, for the log of a process that stays."""
        addresses = {name: mask_url(getattr(self.loaded.settings, name)) for name in SERVERS}
        origins = {f"{name}_from": self.loaded.origins[name] for name in SERVERS}
        structlog.get_logger("ingest.cli").info("servers_found", **addresses, **origins)

    def _elsewhere(self, name: str) -> str:
        folder, stack = self.folder, self.stack
        if not stack:
            folder, stack = LOCAL_FOLDER, running(LOCAL_FOLDER)
        if not stack or stack.get(variable(name)) == getattr(self.loaded.settings, name):
            return ""
        return f"; the local stack that runs in {folder} has another: {' and '.join(self._in_the_way(folder, stack))}"

    def _in_the_way(self, folder: Path, stack: Mapping[str, str]) -> Iterator[str]:
        origins = self.loaded.origins
        foreign = [each for each in SERVERS if stack.get(variable(each)) != getattr(self.loaded.settings, each)]
        variables = [origins[each] for each in foreign if origins[each].startswith(variable(each))]
        variables += [] if folder == self.folder else ["INGEST_STATE"]
        if variables:
            yield f"`unset {' '.join(variables)}` to use it"
        for each in foreign:
            if origins[each].startswith("file "):
                yield f"take {each} out of the {origins[each]} to use it"


def servers_at(folder: Path, environ: Mapping[str, str]) -> Servers:
    """What is named wins: the addresses of the stack in `folder` stand in for what nothing sets, unless what is set is
    another's than the stack's, for two systems are never mixed. Raises ConfigError."""
    loaded, stack = configure(environ), running(folder)
    found = {name: stack[variable(name)] for name in SERVERS if variable(name) in stack}
    unset: dict[str, Any] = {name: url for name, url in found.items() if loaded.origins[name] == "default"}
    if all(name in unset or getattr(loaded.settings, name) == url for name, url in found.items()):
        origins = {**loaded.origins, **dict.fromkeys(unset, _origin(folder))}
        loaded = Loaded(replace(loaded.settings, **unset), origins)
    return Servers(loaded, folder, stack)


def talking(folder: Path | None = None, *, changing: bool = False) -> Servers:
    """Whom this command talks to, once it has said on standard error if that is a local stack; where it is `changing`
    what can't be had back, which database it is. Nothing is said beside JSON.

    `folder` is where a local stack is looked for; None: where the supervisor's socket would be.
    """
    servers = servers_at(state_folder(None, os.environ) if folder is None else folder, os.environ)
    context = click.get_current_context()
    context.meta[_KEPT] = servers
    if context.params.get("output", "table") == "table":
        _announce(servers, changing)
    return servers


def settings_at(folder: Path | None = None, *, changing: bool = False) -> Settings:
    """The settings of a command that talks to the servers, as `talking` finds them."""
    return talking(folder, changing=changing).loaded.settings


def staying(folder: Path, **overrides: Any) -> Servers:
    """Whom a process that stays talks to; an override that is not None beats its variable. What was found of a local
    stack is kept in our environment, for children and for reading the settings again: it never goes over to others."""
    given = {name: str(value) for name, value in overrides.items() if value is not None}
    servers = servers_at(folder, os.environ | given)
    os.environ.update({variable(name): url for name, url in servers.found().items()})
    return servers


def begun(folder: Path, environ: Mapping[str, str]) -> Loaded:
    """The settings of the local stack that is about to be started in `folder`. Raises ConfigError."""
    servers = Servers(configure(environ), folder, {}, starting=True)
    click.get_current_context().meta[_KEPT] = servers
    return servers.loaded


def blamed(error: Exception) -> list[str]:
    """Where each address came from that an error of this command names."""
    servers: Servers | None = click.get_current_context().meta.get(_KEPT)
    return [] if servers is None else servers.blamed(str(error))


def spool_at(folder: Path, settings: Settings) -> Path | None:
    """The spool of this machine's shims; that of the local stack where one runs in `folder`."""
    return place(settings, os.environ | ({"INGEST_STATE": str(folder)} if running(folder) else {}))


def running(folder: Path) -> dict[str, str]:
    """The addresses of the local stack that runs in `folder`; empty where none does."""
    try:
        return read_environment(folder)
    except StateError:
        return {}


def _announce(servers: Servers, changing: bool) -> None:
    url = mask_url(servers.loaded.settings.database_url)
    if servers.found():
        say(f"using the {_origin(servers.folder)}" + (f": database {url}" if changing else ""))
    elif changing:
        say(f"database {url}; {servers.why('database_url')}")


def _origin(folder: Path) -> str:
    return f"local stack in {folder}"
