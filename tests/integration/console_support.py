"""A console for the tests: the real application behind a real socket, in a thread of the test's own process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from uvicorn import Server

from ingest.console.app import build
from ingest.console.server import configured
from ingest.console.views.machine import Machine
from ingest.soak.system import until
from schemas.settings import load
from tests.patience import LONG

NOBODY = {"AMQP_URL": "amqp://127.0.0.1:1/x", "DATABASE_URL": "postgresql://127.0.0.1:1/nothing"}
"""Port 1: nobody is there."""


OWN = {"sec-fetch-site": "same-origin", "origin": "null"}
"""What a browser says of a form of the console's own."""


class Tags(HTMLParser):
    """What a browser would make of a page: its tags, text by itself, and what its form that changes something sends."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.form: dict[str, str] = {}
        self.typed: dict[str, str] = {}
        """Name -> text of its text areas, as a browser has it."""
        self._area = ""
        self._posts = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "form":
            self._posts = found.get("method") == "post"
        if self._posts and tag == "input" and found.get("type") != "checkbox":
            self.form[found["name"] or ""] = found.get("value") or ""
        if tag == "textarea":
            self._area = found["name"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._area:
            self.typed[self._area] = data.removeprefix("\n")

    @property
    def words(self) -> str:
        """Its text in one line."""
        return " ".join(self.text.split())


def machine(state: Path, *, database_url: str = "", **settings: Any) -> Machine:
    """What a console looks at: servers that are not there, but for a database that is given."""
    given = NOBODY | ({"DATABASE_URL": database_url} if database_url else {})
    loaded = load(given | {"INGEST_LISTEN": "127.0.0.1:1"}).settings
    return Machine(replace(loaded, **settings), state)


@contextmanager
def console(looked_at: Machine, **headers: str) -> Iterator[httpx.Client]:
    """A client of a console that serves while the block runs; it follows no redirects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(configured(build(looked_at.settings, looked_at), looked_at.settings))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started, "the console listens")
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with httpx.Client(base_url=url, timeout=LONG, trust_env=False, headers=headers) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(LONG)
