"""Reads: how long a page takes that a person waits for, in tables that have grown for a year."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Final

from bench import growth, tables
from bench.rig import Rig
from consumers.database import statements
from ingest.reads import analytics, asked, paging, reporting
from ingest.reads.database import Database, Keys
from schemas.kinds.action import ActionRow

SECTION = "reads"
OF_NODE = "page of 25 runs, a node"
OF_ORGANIZATION = "page of 25 runs, an organization"
OF_ACTIONS = "page of 25 actions, an organization"
PAGE: Final = 25
ORGANIZATIONS: Final = 10
RUNS_OF_NODE: Final = 200
"""In the year, so that each has more than a page in the time that is asked for."""

_LOAD_RUNS = f"""
INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list, total_res_count,
                  updated_res_count, data)
SELECT md5('run' || n)::uuid, 'org' || n %% {ORGANIZATIONS},
       'web' || n / {ORGANIZATIONS} %% %(nodes)s || '.example.com',
       'success', at, at + interval '1 minute', '["recipe[apache2]"]', 100, 5, '{{}}'
FROM (SELECT n, timestamptz '2025-12-01T00:00:00Z' + n * (interval '350 days' / %(rows)s) AS at
      FROM generate_series(1::bigint, %(rows)s::bigint) AS n) AS made
"""
_SINCE = datetime(2026, 9, 1, tzinfo=UTC)
_UNTIL = datetime(2026, 11, 25, tzinfo=UTC)


def section(rig: Rig, rounds: int, actions: int, runs: int) -> None:
    """Three pages, in turn, of so many actions and runs; each answer is rendered as it would be sent."""
    rig.results.say(f"preloading {actions:,} actions and {runs:,} runs over 12 months")
    url = tables.create_database(rig.database_url, "bench_reads")
    growth.preload(url, actions)
    with tables.open_database(url) as database:
        database.execute(_LOAD_RUNS, {"rows": runs, "nodes": runs // ORGANIZATIONS // RUNS_OF_NODE})
        database.execute("VACUUM (ANALYZE) runs")
        database.execute("VACUUM (ANALYZE) actions")
    for _ in range(rounds):
        rig.measured(partial(_measure, rig, url))


def _measure(rig: Rig, url: str) -> None:
    for name, milliseconds, rows in asyncio.run(_read(url)):
        rig.results.add(SECTION, name, milliseconds, "ms")
        if rows != PAGE:
            rig.results.fault(SECTION, name, [f"{rows} rows of {PAGE}"])


async def _read(url: str) -> list[tuple[str, float, int]]:
    of_runs = statements.load("ingest.reads", "runs.sql")["runs"]
    of_actions = statements.load("ingest.reads", "actions.sql", ActionRow)["actions"]
    page = {"start": 0, "rows": PAGE + 1, "place_time": None, "place_id": None}
    window = {"since": _SINCE, "until": _UNTIL, "aborted": _UNTIL, "status": None, "organization": "org3", "node": None}
    ponyville = dict.fromkeys(asked.FILTERS) | {"organization": "ponyville", "since": None, "before": None}
    wanted = (
        (OF_NODE, of_runs, page | window | {"node": "web3.example.com"}),
        (OF_ORGANIZATION, of_runs, page | window),
        (OF_ACTIONS, of_actions, page | ponyville),
    )
    database = Database(lambda: url, 60.0)
    try:
        await database.rows("SELECT 1", {})  # Connecting is not what is measured.
        return [(name, *await _page(database, statement, keys)) for name, statement, keys in wanted]
    finally:
        await database.close()


async def _page(database: Database, statement: str, keys: Keys) -> tuple[float, int]:
    began = time.perf_counter()
    rows, more = await database.page(statement, keys)
    shown = paging.cut(rows, PAGE, more=more).rows
    if "node" in keys:
        reporting.history(shown)
    else:
        analytics.listed(shown)
    return (time.perf_counter() - began) * 1000, len(shown)
