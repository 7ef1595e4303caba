"""The console's first page over a real database: what is wrong, how the last hour went, what is under way."""

from __future__ import annotations

import asyncio
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

from console_seeded import REPLAY, lesser
from console_support import NOBODY, console, machine
from operate_support import command

from consumers.database.connection import Purpose, session
from consumers.machines.samples import Sample
from consumers.supervisor.roster import Roster
from ingest.shim.acknowledged import Acknowledged
from ingest.shim.metrics import ShimMetrics

PURPOSE = Purpose("test", statement=10, silence=12)


def refusing() -> ShimMetrics:
    """Of a shim that answered four requests, one of them 503, and was asked thrice whether it is ready."""
    metrics = ShimMetrics("1")
    for route, code in (("/messages", 201), ("/messages", 201), ("/messages", 503), ("", 400), *[("/readyz", 503)] * 3):
        metrics.answered(route, code, 0.1)
    return metrics


async def written(acknowledged: Acknowledged) -> None:
    """As at the end of a shim."""
    async with acknowledged.kept():
        await asyncio.sleep(0)


def test_the_first_page_says_what_is_wrong_and_how_the_last_hour_went(database_url: str, tmp_path: Path) -> None:
    """As supervisors and shims wrote it down, and so does `status`: letters that grow, 503s and ages, a line for each
    with words for it, a remedy and the page that helps. A supervisor forgets what is shown no more."""
    with session(database_url, PURPOSE) as connection:
        [(minute,)] = connection.execute("SELECT extract(epoch FROM date_trunc('minute', now()))::bigint").fetchall()
        roster = Roster(tmp_path / "state", "web1")
        death = {"lane": "main", "cause": "killed", "why": "out of memory? <b>", "seconds_ago": 3.0}
        roster.said = {
            "mode": "running", "rate": 2.5, "workers": [], "nodes": {"success": 2}, "nodes_missing": 1,
            "wanted": 2, "version": "0.9", "deaths": 2, "last_death": death,
        }  # fmt: skip
        connection.execute("INSERT INTO samples VALUES (now() - interval '3 hours', 'x', 'y', '{}')")
        early, late = (
            {"letters": 0, "outcomes": {}},
            {"backlog": 7, "outcomes": {"stored": 100}, "ages": {"0": 9, "42": 1}},
        )
        for samples in ((Sample(minute - 1800, early),), (Sample(minute, {}),), (Sample(minute, late),)):
            roster.samples = samples
            roster.exchange(connection)
        metrics = refusing()
        asyncio.run(written(Acknowledged(lambda: database_url, metrics.sampled)))
        connection.execute(REPLAY.encode())
        connection.execute(
            """INSERT INTO nodes (organization, name, last_seen)
            VALUES ('acme', 'here', now() - interval '2 hours'), ('acme', 'away', now() - interval '2 days')"""
        )
        connection.execute(
            """INSERT INTO dead_letters (message_key, replay_key, stage, reason, details, fingerprint, kind, door,
                exchange, routing_key, properties, payload, worker_version)
            SELECT key, key, 'decode', 'not_json', '{}', 'f', 'action', 'http', 'x', 'x', '{}', '', '1'
            FROM (SELECT decode(md5(n::text), 'hex') AS key FROM generate_series(1, 61) AS n) AS made"""
        )
        kept = connection.execute("SELECT host, split_part(process, ' ', 1) FROM samples ORDER BY minute, 2").fetchall()
    assert [process for _, process in kept] == ["consume", "consume", "serve"]

    with console(machine(tmp_path, database_url=lesser(database_url))) as client:
        page = client.get("/").text
        assert "Nothing is wrong" not in page
        assert "61 more open letters than an hour ago: see their causes" in page
        assert "1 of 4 requests of the last five minutes were answered 503" in page
        assert "1 of 2 nodes are missing" in page
        assert re.findall(r'data-live="age p99">([^<]*)<', page) == ["42 s"]
        assert re.findall(r'data-live="age p50">([^<]*)<', page) == ["&lt; 1 s"]
        assert re.findall(r'data-live="refused">([^<]*)<', page) == ["1"]
        assert 'aria-label="Backlog in the last 60 minutes: 7 to 7, 7 at last"' in page
        assert "10 of 40</progress>" in page
        assert re.findall(r'data-live="box 2 all workers">([^<]*)<', page) == ["2.5/s"]
        for runbook in re.findall(r'href="(/runbooks/[^"]*)"', page):
            shown = client.get(runbook)
            assert shown.status_code == 200, runbook
            assert "<h2>What to do</h2>" in shown.text, runbook
        assert "/runbooks/ChefIngestLettersGrowing" in page
        for wrong in ("nothing", "..%2f..%2fsetup", "README.md"):
            assert client.get(f"/runbooks/{wrong}").status_code == 404

        workers = client.get("/workers").text
        assert "2 deaths since it runs" in workers
        assert "main, killed: out of memory? &lt;b&gt;" in workers
        drained = client.get("/workers/confirm?verb=pause&queue=all&host=web1&why=disk").text
        assert "Workers on web1 finish what they have in hand and take no more of every queue" in drained
        assert "Other machines go on" in drained
        rows = client.get("/nodes").text.split("<tr>")
        assert [name for name in ("here", "away") for row in rows if name in row and ">missing<" in row] == ["away"]
        [missing] = re.findall(r'href="(/nodes\?missing=[0-9]+s)"', "".join(rows))
        assert re.findall(r">(here|away)</a>", client.get(missing).text) == ["away"]
        health = client.get("/health").text
        assert re.search(r"chef-ingest [0-9.]+.*libpq [0-9]+\.[0-9]+", health)
        assert re.search(r"<dt>database</dt><dd>PostgreSQL [0-9.]+", health)

    env = NOBODY | {"DATABASE_URL": database_url, "INGEST_LISTEN": "127.0.0.1:1"}
    found: dict[str, Any] = json.loads(command("status", "--output", "json", env=env).stdout)
    assert found["trend"]["age"] == {"p50": 0, "p99": 42, "messages": 10}
    assert found["trend"]["refused"][-2:] in ([None, 1], [1, None])
    told = {each["text"] for each in found["troubles"]}
    shown_texts = {unescape(each) for each in re.findall(r'<li class="verdict [a-z]+">(.*?)(?: <a|</li>)', page)}
    assert {each[0].upper() + each[1:] for each in told} <= shown_texts
    gone = json.loads(command("nodes", "list", "--gone", "--output", "json", env=env).stdout)
    assert [each["name"] for each in gone] == ["away"]
    printed = command("status", env=env).stdout
    assert "wrong: 61 more open letters than an hour ago" in printed
    assert "1 answered 503 in the last hour" in printed
    assert "(docs/runbooks/ChefIngestLettersGrowing.md)" in printed
    assert "age at commit p50 below 1 s, p99 42 s (of 10 min" in printed
