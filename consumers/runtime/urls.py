"""Where the servers are, read again before giving up: a password may have been rotated in its file since we started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar

from schemas.settings import ConfigError, Settings

T = TypeVar("T")
Which = Literal["amqp_url", "database_url"]


class Urls:
    """The URLs of `settings`. `reread` reads the whole configuration anew; None: there is nothing to read.

    May be used by several threads.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings] | None = None) -> None:
        self._settings = settings
        self._reread = reread
        self._lock = threading.Lock()

    def dial(self, which: Which, connect: Callable[[str], T]) -> T:
        """What `connect` makes of the URL; where it fails and there is another one by now, what it makes of that.

        Raises what `connect` does.
        """
        url = self.known(which)
        try:
            return connect(url)
        except Exception:
            fresh = self.now(which)
            if fresh == url:
                raise
        return connect(fresh)

    def now(self, which: Which) -> str:
        """The URL, read again; the one we had, when the configuration has faults."""
        if self._reread is not None:
            with self._lock:
                try:
                    new = self._reread()
                except ConfigError:
                    new = self._settings  # Half a file, say: the next look will see it whole.
                # Other settings are changed by a reload, which an operator asks for.
                self._settings = replace(self._settings, amqp_url=new.amqp_url, database_url=new.database_url)
        return self.known(which)

    def known(self, which: Which) -> str:
        """The URL as it was read last."""
        found: str = getattr(self._settings, which)
        return found
