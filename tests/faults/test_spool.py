"""A Chef server tells an action once: what it was told is kept outlives broker and shim, and is stored once: S33."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from ingest.diagnostics.audit import audit
from ingest.soak.proxy import Proxy
from ingest.soak.system import System, signal_all, through, until
from ingest.spool.contents import entries
from schemas.settings import Settings
from tests.patience import LONG

PATH = "/data-collector/v0/"
SENDERS = 4
RATE = 200
"""Posts a second, of all together."""


class ChefServers:
    """Post each action once, as Chef servers do, whatever becomes of it; `told` is what was answered, by its id."""

    def __init__(self, url, workload):
        self.told: dict[str, int] = {}
        self._url, self._workload = url, workload
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(LONG)

    def statuses(self):
        return Counter(self.told.values())

    def _run(self):
        with httpx.Client(base_url=self._url, trust_env=False, timeout=LONG) as client:
            while not self._stop.wait(SENDERS / RATE):
                with self._lock:
                    sending = self._workload.action()
                try:
                    self.told[sending.key[1]] = client.post(PATH, content=sending.body).status_code
                except httpx.HTTPError:
                    # Nobody was told anything: the action may be stored or not, and once at most.
                    self.told[sending.key[1]] = 0


@pytest.fixture
def spooling(amqp_url, database_url, tmp_path):
    """The product; the shim's way to the broker can be shut. (system, proxy)"""
    with ExitStack() as undo:
        proxy = undo.enter_context(Proxy(urlsplit(amqp_url).port))
        urls = {"amqp_url": through(amqp_url, proxy.port), "direct_amqp_url": amqp_url, "database_url": database_url}
        system = undo.enter_context(System(tmp_path, **urls))
        system.declare()
        system.consumers(1, environ={"AMQP_URL": amqp_url})
        yield system, proxy


def test_what_was_told_as_kept_outlives_broker_and_shim(spooling, workload, tmp_path, amqp_url, database_url):
    """The broker goes under posts, the shim is killed, both come back: nothing is lost, doubled, or left behind."""
    system, proxy = spooling
    folder = tmp_path / "spool"
    shim = system.shim()
    system.ready()
    with ChefServers(system.url(), workload) as chef:
        until(lambda: chef.statuses()[201] > 20, "actions are stored")
        proxy.set(refuse=True)
        proxy.cut()
        until(lambda: len(list(entries(folder))) > 100, "actions are spooled")
        signal_all([shim.pid], signal.SIGKILL)
        until(lambda: shim.poll() is not None, "the shim is dead")
        before = len(list(entries(folder)))
        system.shim()
        until(lambda: len(list(entries(folder))) > before + 50, "its successor spools too")
        proxy.set()
        system.ready()
        until(lambda: not list(entries(folder)), "the spool is drained")
    system.quiet()
    told = {id for id, status in chef.told.items() if status in (200, 201, 202)}
    stored = _stored(database_url)
    assert told - set(stored) == set(), "lost"
    assert {id for id, rows in stored.items() if rows > 1} == set(), "doubled"
    assert set(stored) <= set(chef.told)
    assert chef.statuses().keys() <= {0, 201, 202}
    found = audit(Settings(amqp_url=amqp_url, database_url=database_url), tmp_path, 2, spool=folder)
    assert found.verdict in ("closed", "surplus")


def _stored(database_url) -> Counter[str]:
    with psycopg.connect(database_url) as connection:
        return Counter(str(row[0]) for row in connection.execute("SELECT id FROM actions").fetchall())
