"""Letters that somebody made to be looked at: imported, they break nothing that comes after; shown, they stay small."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import psycopg
import pytest
from operate_support import command, declared, environment

from consumers.dead_letters import export, queries
from consumers.dead_letters.errors import NotImportable
from consumers.dead_letters.repository import Letter, repository_at
from consumers.dead_letters.selector import Selector
from schemas.validation.decode import beginning
from tests.patience import LONG

GOOD: dict[str, Any] = {
    "chef_ingest_letter": 1, "id": 1, "state": "open", "stage": "schema", "reason": "schema", "details": {"a": "b"},
    "sqlstate": None, "fingerprint": "f", "kind": "action", "door": "http", "organization": "o", "node": None,
    "run_id": None, "exchange": "ingest", "routing_key": "action", "content_encoding": None,
    "properties": {"type": "action", "headers": {}}, "payload": "e30=", "edited_payload": None,
    "edited_encoding": None, "edited_envelope": None, "attempts": 1,
    "replays": 0, "failed_replays": 0, "first_seen": "2026-11-22T05:00:00Z",
    "last_seen": "2026-11-22T05:00:00Z", "worker_version": "1", "resolution": None,
    "sender": {"who": "token lab", "user_agent": "\u202e"}, "entity": "app1", "requestor": "rarity",
}  # fmt: skip
WRONG: list[Any] = [
    5, -1, 2**40, 1e400, None, True, "", "x\0y", "\ud800", "!", [], [1], {}, {"a": 5}, {"a": {"b": []}}, {"a": "\0"},
    {"headers": 5}, {"headers": {"x": {"!decimal": "x"}}}, {"headers": {"x": {"!time": "x"}}},
    {"headers": {"x": {"!bytes": "?"}}}, {"headers": {"x" * 300: 1}}, {"type": "x" * 300}, {"priority": "x"},
    {"headers": {"x": {"!table": 5}}}, {"timestamp": {"!time": "9999-01-01T00:00:00+00:00"}}, "2026-11-22T05:00:00",
    {"headers": {"x-ingest-letter": "x", "x-ingest-replay": {}}}, {"correlation_id": "x", "reply_to": 5},
]  # fmt: skip


def test_whatever_a_file_says_it_breaks_nothing_that_comes_after(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """Each field times each wrong value: refused by its line, or a letter like any other for every command."""
    declared(amqp_url)
    refused, kept = 0, 0
    with repository_at(database_url, who="test") as repository:
        for name in GOOD:
            for number, wrong in enumerate([*WRONG, ...]):
                facts = GOOD | {"payload": b64encode(f"{name} {number}".encode()).decode()} | {name: wrong}
                if wrong is ...:
                    del facts[name]
                try:
                    letter = export.from_line(json.dumps(facts).encode(), "line")
                except NotImportable:
                    refused += 1
                else:
                    kept += export.import_letter(repository, letter, "file")
        assert refused > 400
        assert kept > 20
        assert len(queries.listed(repository, Selector())) == kept
        assert queries.groups(repository, Selector())
    env = environment(amqp_url, database_url, tmp_path)
    for arguments in (("groups",), ("list",), ("replay",), ("stats",), ("export",), ("replay", "--all", "--yes")):
        done = command("dead", *arguments, env=env)
        assert "Traceback" not in done.stderr, (arguments, done.stderr)
        # What names an exchange that is not there is told, one by one, and the others are sent.
        assert done.returncode == (1 if "--yes" in arguments else 0), (arguments, done.stderr)


def test_an_export_is_imported_as_it_was() -> None:
    """What a good line says is what comes out of it, to the letter."""
    letter = export.from_line(json.dumps(GOOD).encode(), "line")
    assert json.loads(export.to_line(letter)) | {"first_seen": 0, "last_seen": 0} == GOOD | {
        "first_seen": 0,
        "last_seen": 0,
    }


def test_a_row_that_is_odd_already_hides_no_other(database_url: str, amqp_url: str, tmp_path: Path) -> None:
    """Details that are no object, as an older version may have imported them, are shown as they are."""
    with repository_at(database_url, who="test") as repository:
        export.import_letter(repository, export.from_line(json.dumps(GOOD).encode(), "line"), "file")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE dead_letters SET details = '5'")
    env = environment(amqp_url, database_url, tmp_path)
    for arguments in (("groups",), ("list",), ("show", "1"), ("replay",)):
        assert command("dead", *arguments, env=env).returncode == 0, arguments


BOMBS = {
    "many lists": b"[" + b"[]," * 20_000_000 + b"[]]",
    "deep and wide": b"[" * 900 + b"[]," * 80_000 + b"[]" + b"]" * 900,
    "one long text": b'"' + b"x" * 60_000_000 + b'"',
    "zeros": bytes(100_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_letter_is_small_to_look_at(name: str, database_url: str, amqp_url: str, tmp_path: Path) -> None:
    """However much a body inflates to, and however far it would be indented: `dead show` shows the beginning."""
    payload = gzip.compress(BOMBS[name], 6)
    facts = GOOD | {"payload": b64encode(payload).decode(), "content_encoding": "gzip"}
    with repository_at(database_url, who="test") as repository:
        export.import_letter(repository, export.from_line(json.dumps(facts).encode(), "line"), "file")
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))  # noqa: E731
    for output in ("table", "json"):
        shown = subprocess.run(
            [sys.executable, "-m", "ingest", "dead", "show", "1", "--output", output],
            env=environment(amqp_url, database_url, tmp_path), capture_output=True, text=True, timeout=LONG,
            check=False, preexec_fn=limit,
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        assert len(shown.stdout) < 5_000_000


def test_the_beginning_of_a_body_is_bounded() -> None:
    """No more than was asked for is inflated, and rubbish has none."""
    assert beginning(gzip.compress(bytes(10**7)), "gzip", 100) == bytes(100)
    assert beginning(b"plain", None, 3) == b"pla"
    assert beginning(b"rubbish", "gzip", 3) == b""


def test_every_field_of_a_letter_is_tried() -> None:
    """A new field of a letter is one more that a file can be wrong about."""
    assert set(Letter.__dataclass_fields__) == GOOD.keys() - {"chef_ingest_letter"}
