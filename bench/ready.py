"""Pages of the console: how long until one is ready, over tables that have grown for a year."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.error import URLError

from bench import growth, tables
from bench.children import Child, ChildFailed, running
from bench.ports import free_port
from bench.rig import Rig

SECTION = "console"
PAGES: Final = {"Overview": "/", "Letters": "/letters", "Actions": "/actions", "Runs": "/runs"}
"""What a page is called, and its path; each as it is without a filter."""
SECONDS: Final = 60.0
"""A console that has not begun by then never will."""
STALE: Final = 2.0
"""Of what all pages share, a look is so old at most: each is asked for after it, so that it looks for itself."""

# Newest last, so that a page has something of the last day and of the month before it.
_LOAD_RUNS = """
INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list, total_res_count,
                  updated_res_count, data)
SELECT md5('run' || n)::uuid, 'org' || n %% 10, 'web' || n %% 1000 || '.example.com',
       CASE WHEN n %% 20 = 0 THEN 'failure' ELSE 'success' END, at, at + interval '1 minute',
       '["recipe[apache2]"]', 100, 5,
       CASE WHEN n %% 20 = 0 THEN json_build_object('exception', json_build_object('class', 'Errno::ENOENT',
            'message', 'No such file or directory @ rb_sysopen - /etc/app/' || n || '.conf')) ELSE '{}' END
FROM (SELECT n, now() - (%(rows)s - n) * (interval '30 days' / %(rows)s) AS at
      FROM generate_series(1::bigint, %(rows)s::bigint) AS n) AS made
"""
_LOAD_LETTERS = """
INSERT INTO dead_letters (message_key, replay_key, state, stage, reason, details, fingerprint, kind, door,
                          organization, node, exchange, routing_key, properties, payload, worker_version,
                          first_seen, last_seen)
SELECT sha256(n::text::bytea), sha256(n::text::bytea), CASE WHEN n %% 10 = 0 THEN 'parked' ELSE 'open' END, 'meaning',
       'not_a_timestamp', json_build_object('recorded_at', 'is no time: ''' || n || ''''), 'cause' || n %% 40,
       'action', 'http',
       'org' || n %% 10, 'web' || n %% 1000 || '.example.com', 'ingest', 'action', '{}',
       convert_to('{"recorded_at": "' || n || '", "data": "' || repeat(md5(n::text), 25) || '"}', 'UTF8'), '1', at, at
FROM (SELECT n, now() - (%(rows)s - n) * (interval '30 days' / %(rows)s) AS at
      FROM generate_series(1::bigint, %(rows)s::bigint) AS n) AS made
"""
# The preload's months have passed, or will: of the last days there is a share of all.
_LOAD_ACTIONS = """
WITH taken AS (
    INSERT INTO action_ids (id, recorded_at)
    SELECT md5('new' || n)::uuid, now() - (%(rows)s - n) * (interval '3 days' / %(rows)s)
    FROM generate_series(1::bigint, %(rows)s::bigint) AS n RETURNING id, recorded_at
)
INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task, requestor_type, requestor_name,
                     remote_hostname, request_id, service_hostname, user_agent, message_type, message_version, data,
                     stored_at)
SELECT id, recorded_at, 'org1', 'node', 'web1', 'update', 'user', 'rarity', '10.0.0.1', 'r', 'chef', 'Chef Knife',
       'action', '0.1.1', '{}', recorded_at FROM taken
"""
NEW: Final = 100
"""One action in so many is of the last three days."""

Open = Callable[[str], str]
"""What is read at a URL, when it is ready."""


def section(rig: Rig, rounds: int, actions: int, letters: int, runs: int) -> None:
    """Each page in turn, over so many rows: the answer read to its end, and where Chromium is, until it is loaded."""
    rig.results.say(f"preloading {actions:,} actions, {letters:,} letters and {runs:,} runs")
    url = tables.create_database(rig.database_url, "bench_console")
    growth.preload(url, actions - actions // NEW)
    with tables.open_database(url) as database:
        database.execute("SELECT ingest_make_partitions((now() - interval '2 months')::date, 4)")
        database.execute(_LOAD_ACTIONS, {"rows": actions // NEW})
        database.execute(_LOAD_LETTERS, {"rows": letters})
        database.execute(_LOAD_RUNS, {"rows": runs})
        for table in ("runs", "actions", "dead_letters"):
            database.execute(f"VACUUM (ANALYZE) {table}".encode())
    with _console(rig, url) as address, _browser() as browser:
        for _ in range(rounds):
            for name, path in PAGES.items():
                rig.measured(partial(_measure, rig, name, address + path, _read))
                if browser is not None:
                    rig.measured(partial(_measure, rig, f"{name}, in Chromium", address + path, browser))


def _measure(rig: Rig, name: str, url: str, ready: Open) -> None:
    time.sleep(STALE)
    began = time.perf_counter()
    page = ready(url)
    rig.results.add(SECTION, name, (time.perf_counter() - began) * 1000, "ms")
    if "<td" not in page:
        rig.results.fault(SECTION, name, ["a page without rows"])


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return str(answer.read().decode())


@contextlib.contextmanager
def _console(rig: Rig, database_url: str) -> Iterator[str]:
    """The address of a console that answers."""
    address = f"127.0.0.1:{free_port()}"
    env = {"AMQP_URL": rig.amqp_url, "DATABASE_URL": database_url, "INGEST_STATE": str(rig.home)}
    argv = [sys.executable, "-m", "ingest", "console", "--listen", address]
    with running({"console": argv}, env, rig.logs) as [child]:
        _answers(child, f"http://{address}/static/console.css")
        yield f"http://{address}"


def _answers(child: Child, url: str) -> None:
    until = time.monotonic() + SECONDS
    while True:
        child.check()
        try:
            _read(url)
            return
        except URLError:
            if time.monotonic() > until:
                raise ChildFailed(f"the console does not answer:\n{child.log_end()}") from None
            time.sleep(0.1)


@contextlib.contextmanager
def _browser() -> Iterator[Open | None]:
    """A page of Chromium, warm; None where there is none."""
    program = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=Path(program), args=["--disable-dev-shm-usage"])
        page = browser.new_page()

        def ready(url: str) -> str:
            page.goto(url, wait_until="load")
            return page.content()

        yield ready
        browser.close()
