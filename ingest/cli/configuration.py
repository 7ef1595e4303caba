"""Reads the configuration at an entry point: the environment, then a TOML file, then defaults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

from consumers.database.connection import unreadable
from schemas.settings import ConfigError, Loaded, Settings, load, mask_url, variable

_URL = re.compile(r"[a-z]+://|[a-z_]+ *=")
"""What begins a URL or libpq's other kind of connection string."""
_ENCODE = "percent-encode what is no letter or digit in user and password"


def configure(environ: Mapping[str, str]) -> Loaded:
    """Settings with their origins. `INGEST_CONFIG` names the TOML file. Raises ConfigError."""
    path = environ.get("INGEST_CONFIG", "")
    file = _read_file(Path(path)) if path else {}
    loaded = load(environ, file=file, file_name=path, read_secret=lambda name: Path(name).read_text("utf-8"))
    _check_urls(loaded.settings)
    return loaded


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"INGEST_CONFIG: {path}: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:  # No UTF-8, no TOML, a number of 5000 digits, 1000 brackets.
        raise ConfigError([f"INGEST_CONFIG: {path}: no TOML: {error}"]) from None


def _check_urls(settings: Settings) -> None:
    """Before anything else could quote a piece of a password: ConfigError for URLs that can't be read, with nothing of
    them."""
    faults = [f"AMQP_URL: {fault}" for url in settings.amqp_url.split(",") for fault in _amqp_faults(url.strip())]
    faults += [f"DATABASE_URL: {fault}" for fault in _database_faults(settings.database_url)]
    if faults:
        raise ConfigError(faults)


def _amqp_faults(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        readable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        readable = False
    if not readable or parts.scheme not in ("amqp", "amqps") or "@" in parts.path + parts.fragment:
        yield f"no URL like amqp://USER:PASSWORD@HOST:5672/VHOST; {_ENCODE}"


def _database_faults(url: str) -> Iterator[str]:
    if why := unreadable(url):
        yield f"{why}; {_ENCODE}"


def masked(value: str) -> str:
    """A secret to show: a URL without its passwords, anything else not at all."""
    return mask_url(value) if not value or _URL.match(value) else "***"


def described(loaded: Loaded) -> list[dict[str, str]]:
    """Every setting as text: variable, value (secrets masked), unit, where it came from, what it is for."""
    rows = []
    for each in fields(Settings):
        value = getattr(loaded.settings, each.name)
        rows.append(
            {
                "setting": each.name,
                "variable": variable(each.name),
                "value": masked(value) if each.metadata["secret"] else str(value),
                "unit": each.metadata["unit"],
                "origin": loaded.origins[each.name],
                "help": each.metadata["help"],
            }
        )
    return rows
