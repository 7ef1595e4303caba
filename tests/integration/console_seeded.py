"""What a console of the tests shows: rows of everything, made to be looked at by senders who mean no good."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from operate_support import ROOT
from psycopg.types.json import Json

from ingest.console.views import VIEWS

HERE = Path(__file__).parent
RUN = "00000000-2222-4000-8000-000000000002"
ACTION = "aaaa0000-0000-4000-8000-000000000002"
EXAMPLE = json.loads((ROOT / "tests" / "fixtures" / "example_action.json").read_text())
HOSTILE = {"entity_name": "<script>alert(1)</script>", "requestor_name": "evil\u202e\u0000", "recorded_at": "never"}
SECRET = "correct horse battery staple"
REFUSED = EXAMPLE | HOSTILE | {"data": {"password": SECRET, "deep": {"token": SECRET}}}
"""What a sender made to be looked at."""

LETTERS = (
    ("meaning", "not_a_timestamp", {"recorded_at": "is no time: 'never' </dd><script>"}, json.dumps(REFUSED).encode()),
    ("meaning", "conflict", {"task": "stored 'update', sent 'create'"}, json.dumps(EXAMPLE | {"id": ACTION}).encode()),
    ("decode", "not_json", {"message": "is no JSON"}, b"\x00\xff<img src=x onerror=alert(1)>"),
    ("decode", "too_large", {"message": "is too large"}, b'{"a": "' + b"<b>" * 700_000 + b'"}'),
    ("meaning", "not_a_timestamp", {"recorded_at": "is no time: 'never'"}, json.dumps(EXAMPLE).encode()),
)

REPLAY = """INSERT INTO dead_letter_replays
    (request, selector, newest, who, why, name, total, looked_at, heard_at, host)
    VALUES ('x', '{}', 100, '<b>rarity</b>', '<i>', '<script>knife 99</script>', 40, 10, now(), 'web1')"""
"""Nobody carries it out any more."""


def seed(url: str) -> list[int]:
    """Rows of everything, and the numbers of the letters."""
    with psycopg.connect(url) as connection:
        for name in ("reads_seed.sql", "console_seed.sql"):
            connection.execute((HERE / name).read_bytes())
        numbers = []
        for stage, reason, details, payload in LETTERS:
            key = uuid.uuid4().bytes
            statement = """INSERT INTO dead_letters (message_key, replay_key, stage, reason, details, fingerprint, kind,
                door, organization, exchange, routing_key, properties, payload, worker_version) VALUES
                (%s, %s, %s, %s, %s, %s, 'action', 'http', 'acme', 'ingest', 'action', '{}', %s, '1') RETURNING id"""
            values = (key, key, stage, reason, Json(details), f"{stage}{reason}"[:16], payload)
            [(number,)] = connection.execute(statement, values).fetchall()
            event = "INSERT INTO dead_letter_events (letter_id, what, who, why) VALUES (%s, 'opened', 'worker', '<i>')"
            connection.execute(event, (number,))
            numbers.append(number)
        connection.execute(REPLAY)
    return numbers


def lesser(url: str) -> str:
    """The URL of a role made as docs/how-to/least-rights.md says."""
    role = f"console_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'lesser' NOSUPERUSER".encode())
    recipe = str(ROOT / "deploy" / "postgresql" / "console.sql")
    for _ in range(2):
        argv = ["psql", "-X", "-q", url, "-v", f"role={role}", "-f", recipe]
        subprocess.run(argv, check=True, capture_output=True, text=True)
    parts = urlsplit(url)
    return f"postgresql://{role}:lesser@{parts.hostname}:{parts.port}{parts.path}"


CONFIRMED = {
    "/workers/confirm": "?verb=pause&queue=all&host=all&why=%3Cb%3E",
    "/replays/confirm": "?wish=stop&number=1&why=%3Cb%3E",
    "/letters/confirm": "?verb=discard&organization=acme",
    "/letters/note": "?fingerprint=decodenot_json",
}


def paths(letters: list[int]) -> list[str]:
    """Every page there is, and each letter, with and without filters."""
    named = {
        "{run}": RUN,
        "{id}": ACTION,
        "{letter:int}": str(letters[0]),
        "{replay:int}": "1",
        "{name}": "ChefIngestPaused",
    }
    found = []
    for path in VIEWS:
        for name, value in named.items():
            path = path.replace(name, value)
        found.append(path + CONFIRMED.get(path, ""))
    found += [f"/letters/{number}" for number in letters]
    found += ["/runs/bad00000-2222-4000-8000-000000000001", "/actions/aaaa0000-0000-4000-8000-000000000004"]
    return [
        *found,
        "/runs?since=2025-11-01&status=",
        "/letters?reason=conflict",
        "/letters/confirm?verb=prune&unsettled_too=yes",
        "/replays/new?organization=acme&accepts=fixed&rate=5",
        "/nodes?missing=24h",
        "/actions?since=400d",
    ]
