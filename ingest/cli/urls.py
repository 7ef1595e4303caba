"""Whether AMQP_URL and DATABASE_URL can be read: said before anything else could quote a piece of a password."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from consumers.database.connection import unreadable
from schemas.settings import ConfigError, Settings

_ENCODE = "percent-encode what is no letter or digit in user and password"


def check_urls(settings: Settings) -> None:
    """Raises ConfigError for URLs that can't be read; it holds nothing of them."""
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
