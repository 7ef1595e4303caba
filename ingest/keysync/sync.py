"""One organization's keys, brought from its Chef server into the folder: one after another, then what is too many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingest.access.keys import MEMBERS, names_a_file
from ingest.keysync.folder import KeyFiles
from ingest.keysync.plan import REFUSED, REMOVED, plan
from ingest.keysync.server import SIDE_BY_SIDE, ChefServer

CLIENT, MEMBER = "client", "member"
_OWNERS: Final = {CLIENT: "clients", MEMBER: "users"}


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What became of a file, or would: `done` is yes, no, or would be."""

    organization: str
    kind: str
    name: str
    change: str
    done: str
    why: str = ""


class Sync:
    """Of the clients or of the members of an organization; `dry` writes nothing.

    Whatever it does may raise ServerUnavailable, ServerRefuses, OSError; what was done until then stays.
    """

    def __init__(self, server: ChefServer, folder: Path, kind: str, *, dry: bool) -> None:
        self._server = server
        self._organization = server.organization.name
        self.kind = kind
        self._dry = dry
        self._files = KeyFiles(folder / self._organization / (MEMBERS if kind == MEMBER else ""))
        self._wanted: set[str] = set()
        self.names = server.clients() if kind == CLIENT else server.members()

    def brought(self) -> Iterator[list[KeyChange]]:
        """What changes, for each of `names` in turn."""
        executor = ThreadPoolExecutor(SIDE_BY_SIDE)
        try:
            for name, told in zip(self.names, executor.map(self._told, self.names), strict=True):
                yield list(self._bring(name, told))
        finally:
            executor.shutdown(cancel_futures=True)
            if not self._dry:
                self._files.settle()

    def surplus(self) -> list[KeyChange]:
        """The files whose keys the Chef server has no more, once all was brought. Where it lists nobody, that is sooner
        a fault of the server than the end of everybody."""
        return [self._change(name, REMOVED, "would be") for name in sorted(self._files.names() - self._wanted)]

    def remove(self, surplus: list[KeyChange]) -> list[KeyChange]:
        """The surplus, removed."""
        for each in surplus:
            self._files.remove(each.name)
        self._files.settle()
        return [self._change(each.name, REMOVED, "yes") for each in surplus]

    def _told(self, name: str) -> list[dict[str, Any]]:
        return self._server.keys(f"{_OWNERS[self.kind]}/{name}") if names_a_file(name) else []

    def _bring(self, name: str, told: list[dict[str, Any]]) -> Iterator[KeyChange]:
        if not names_a_file(name):
            yield self._change(name, REFUSED, "no", "no file can have this name, and no shim would read it")
            return
        planned = plan(told, self._files.read(name))
        for why in planned.refused:
            yield self._change(name, REFUSED, "no", why)
        if not planned.unwanted:
            self._wanted.add(name)
        if planned.change is not None and planned.content is not None:
            if not self._dry:
                self._files.write(name, planned.content)
            yield self._change(name, planned.change, "would be" if self._dry else "yes")

    def _change(self, name: str, change: str, done: str, why: str = "") -> KeyChange:
        return KeyChange(self._organization, self.kind, name, change, done, why)
