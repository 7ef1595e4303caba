"""A URL is read again when it leads nowhere, and only then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consumers.runtime.urls import Urls
from schemas.settings import ConfigError, Settings

OLD, NEW = Settings(database_url="postgresql://old"), Settings(database_url="postgresql://new", consumers=7)


def refusing(*refused: str) -> Callable[[str], str]:
    def connect(url: str) -> str:
        if url in refused:
            raise ConnectionError(url)
        return f"connected to {url}"

    return connect


def test_a_rotated_password_is_found_before_anybody_gives_up() -> None:
    """And kept: the next connection begins with it."""
    urls = Urls(OLD, lambda: NEW)
    assert urls.dial("database_url", refusing(OLD.database_url)) == f"connected to {NEW.database_url}"
    assert urls.dial("database_url", refusing()) == f"connected to {NEW.database_url}"


def test_what_works_is_not_read_again() -> None:
    """A file that somebody is just writing disturbs nobody who is connected well."""
    urls = Urls(OLD, lambda: pytest.fail("read again"))
    assert urls.dial("database_url", refusing()) == f"connected to {OLD.database_url}"


@pytest.mark.parametrize("reread", [None, lambda: OLD])
def test_the_same_url_fails_once(reread: Callable[[], Settings] | None) -> None:
    """Nothing has changed: the fault is told as it is."""
    with pytest.raises(ConnectionError, match="old"):
        Urls(OLD, reread).dial("database_url", refusing(OLD.database_url))


def test_a_configuration_with_faults_changes_nothing() -> None:
    """Half a file is no reason to forget the URL that we have."""

    def broken() -> Settings:
        raise ConfigError(["half a file"])

    assert Urls(OLD, broken).now("database_url") == OLD.database_url
