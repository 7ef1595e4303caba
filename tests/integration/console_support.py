"""A console for the tests: the real application behind a real socket, in a thread of the test's own process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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


def machine(state: Path, *, database_url: str = "", **settings: Any) -> Machine:
    """What a console looks at: servers that are not there, but for a database that is given."""
    given = NOBODY | ({"DATABASE_URL": database_url} if database_url else {})
    loaded = load(given | {"INGEST_LISTEN": "127.0.0.1:1"}).settings
    return Machine(replace(loaded, **settings), state)


@contextmanager
def console(looked_at: Machine, **headers: str) -> Iterator[httpx.Client]:
    """A client of a console that serves while the block runs; it follows no redirects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(configured(build(looked_at.settings, looked_at)))
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
