"""Finds the machine's PostgreSQL and RabbitMQ programs; installs Debian's packages where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

Say = Callable[[str], None]
Install = Callable[[Sequence[str], Mapping[str, str], Say], None]
"""Installs the packages or raises ServersMissing saying why it may not: (packages, environ, say)."""

PACKAGES: Final[Mapping[str, str]] = {"PostgreSQL": "postgresql", "RabbitMQ": "rabbitmq-server"}


class ServersMissing(Exception):
    """A server is missing and could not be installed; the message says what to do, once for all of them."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where Debian (and a plain unpacked release) puts things; another root in tests."""

    postgres: tuple[str, ...] = ("/usr/lib/postgresql",)
    rabbitmq: tuple[str, ...] = ("/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib", "/opt/rabbitmq/sbin")
    erlang: tuple[str, ...] = ("/usr/lib/erlang/bin", "/opt/erlang/bin", "/usr/local/lib/erlang/bin")


@dataclass(frozen=True, slots=True)
class Programs:
    """Folders of PostgreSQL's programs and RabbitMQ's own scripts, and the file epmd; None: not there."""

    postgres: Path | None
    rabbitmq: Path | None
    epmd: Path | None


def find(environ: Mapping[str, str], places: Places) -> Programs:
    """What is there: `$PG_BIN` and `$RABBITMQ_HOME/sbin` first, then Debian's places, then PATH."""
    path = environ.get("PATH", "")
    return Programs(
        postgres=_find_postgres(environ, path, places),
        rabbitmq=_find_rabbitmq(environ, path, places),
        epmd=_program("epmd", [Path(each) for each in places.erlang], path),
    )


def ensure(
    *,
    postgres: bool,
    rabbitmq: bool,
    environ: Mapping[str, str],
    say: Say,
    install: Install,
    places: Places,
) -> Programs:
    """The programs that are asked for, installed first where they are missing; raises ServersMissing."""
    missing = _missing(programs := find(environ, places), postgres, rabbitmq)
    if missing:
        packages = [PACKAGES[name] for name in missing]
        try:
            install(packages, environ, say)
        except ServersMissing as refusal:
            raise ServersMissing(_remedy(missing, str(refusal))) from refusal
        still = _missing(programs := find(environ, places), postgres, rabbitmq)
        if still:
            raise ServersMissing(_remedy(still, f"apt-get installed {' '.join(packages)}, yet they are not found"))
    return programs


def apt_install(packages: Sequence[str], environ: Mapping[str, str], say: Say) -> None:
    """Debian's packages, without recommended extras and without starting any service."""
    path = environ.get("PATH", "")
    if shutil.which("apt-get", path=path) is None:
        raise ServersMissing("this machine has no apt-get to install them with")
    prefix = _privilege(path)
    if prefix is None:
        raise ServersMissing("I may not install packages here (not root, and sudo wants a password)")
    say(f"installing {' '.join(packages)} with apt-get; this takes a minute or two")
    script = files("ingest.local").joinpath("install.sh").read_text()
    command = [*prefix, "/bin/sh", "-s", "--", *packages]
    done = subprocess.run(
        command, input=script, env={**environ, "LC_ALL": "C.UTF-8"}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0:
        end_of_output = "\n  ".join(done.stdout.strip().splitlines()[-12:])
        raise ServersMissing(f"apt-get failed with status {done.returncode}:\n  {end_of_output}\n")


def _privilege(path: str) -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo", path=path)
    if sudo is None:
        return None
    asked = subprocess.run([sudo, "-n", "true"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return [sudo, "-n"] if asked.returncode == 0 else None


def _missing(programs: Programs, postgres: bool, rabbitmq: bool) -> list[str]:
    found = {
        "PostgreSQL": not postgres or programs.postgres is not None,
        "RabbitMQ": not rabbitmq or None not in (programs.rabbitmq, programs.epmd),
    }
    return [name for name, present in found.items() if not present]


def _remedy(missing: Sequence[str], why: str) -> str:
    variables = {
        "PostgreSQL": "DATABASE_URL to a PostgreSQL that runs, or PG_BIN to the folder of its programs",
        "RabbitMQ": "AMQP_URL to a RabbitMQ that runs, or RABBITMQ_HOME to where a release is unpacked",
    }
    choices = "".join(f"\n  or set {variables[name]}" for name in missing)
    packages = " ".join(PACKAGES[name] for name in missing)
    return (
        f"{' and '.join(missing)} missing: {why}.\n"
        f"  Either install: sudo apt-get install --no-install-recommends {packages}{choices}"
    )


def _find_postgres(environ: Mapping[str, str], path: str, places: Places) -> Path | None:
    if "PG_BIN" in environ:
        folders = [Path(environ["PG_BIN"])]
    else:
        folders = [bin for root in places.postgres for bin in Path(root).glob("*/bin")]
        folders.sort(key=lambda folder: _version(folder.parent.name), reverse=True)
        initdb = shutil.which("initdb", path=path)
        folders += [Path(initdb).resolve().parent] if initdb else []
    whole = (each for each in folders if all((each / name).exists() for name in ("postgres", "initdb")))
    return next(whole, None)


def _find_rabbitmq(environ: Mapping[str, str], path: str, places: Places) -> Path | None:
    if "RABBITMQ_HOME" in environ:
        folders = [Path(environ["RABBITMQ_HOME"]) / "sbin"]
    else:
        folders = [Path(root) for root in places.rabbitmq]
        folders += [sbin for root in folders for sbin in root.glob("rabbitmq_server-*/sbin")]
        server = shutil.which("rabbitmq-server", path=path)
        folders += [Path(server).resolve().parent] if server else []
    # Beside the real script lies rabbitmq-env; beside Debian's wrapper in /usr/sbin it does not.
    whole = (each for each in folders if all((each / name).exists() for name in ("rabbitmq-server", "rabbitmq-env")))
    return next(whole, None)


def _program(name: str, folders: Sequence[Path], path: str) -> Path | None:
    found = shutil.which(name, path=path)
    if found is not None:
        return Path(found)
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def _version(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdecimal() else 0.0
