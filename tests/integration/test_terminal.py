"""Every field that a stranger fills, in every place where it is shown: on a real terminal it steers nothing."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from operate_support import environment

from tests.patience import LONG

EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31mowned\x9b31m\x7f\u202eowned\u2066\u200f\r\nletter 1: resolved"
BODY = f'{{"name": "{EVIL}", "deep": ["{EVIL}"]}}'.replace("\r\n", "").encode()
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours and the cursor's moves of the tables; a sender's are told by the word that follows them."""

INSERT = """
INSERT INTO dead_letters (message_key, replay_key, stage, reason, details, fingerprint, kind, door, organization, node,
    run_id, exchange, routing_key, content_encoding, properties, payload, worker_version, resolution, sqlstate)
VALUES (sha256(%(body)s), sha256(%(body)s), %(stage)s, %(evil)s, %(json)s, %(evil)s, %(evil)s, 'http', %(evil)s,
    %(evil)s, %(evil)s, %(evil)s, %(evil)s, NULL, %(json)s, %(body)s, %(evil)s, NULL, %(evil)s)
RETURNING id
"""
EVENT = "INSERT INTO dead_letter_events (letter_id, what, who, why, details) VALUES (%s, %s, %s, %s, %s)"


@pytest.fixture
def letter(database_url: str) -> int:
    """A letter that is evil wherever the table takes text."""
    nested = psycopg.types.json.Json({EVIL: EVIL, "headers": {EVIL: EVIL}})
    with psycopg.connect(database_url) as connection:
        facts = {"evil": EVIL, "json": nested, "body": BODY, "stage": "schema"}
        row = connection.execute(INSERT.encode(), facts).fetchone()
        assert row is not None
        connection.execute(EVENT, [row[0], "opened", EVIL, EVIL, nested])
    return int(row[0])


def on_terminal(env: dict[str, str], *arguments: str) -> str:
    """What a command sends to its terminal, standard error included."""
    parent, child = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments], stdin=child, stdout=child, stderr=child,
        env=env | {"COLUMNS": "300", "TERM": "xterm"},
    )  # fmt: skip
    os.close(child)
    seen = b""
    try:
        while piece := os.read(parent, 65536):
            seen += piece
    except OSError:
        pass
    os.close(parent)
    assert running.wait(LONG) in (0, 1)
    return seen.decode("utf-8", "replace")


def test_no_field_of_a_letter_reaches_the_terminal_raw(
    amqp_url: str, database_url: str, tmp_path: Path, letter: int
) -> None:
    """Lists, groups, figures, one in full, previews and reports, in each form of output."""
    env = environment(amqp_url, database_url, tmp_path)
    (tmp_path / "patch").write_text("[]")
    commands = [
        *(("dead", verb, *form) for verb in ("list", "groups", "stats") for form in ((), ("--output", "json"))),
        ("dead", "list", "--output", "ndjson"), ("dead", "show", str(letter)), ("dead", "replay"),
        ("dead", "show", str(letter), "--output", "json"), ("dead", "export"), ("dead", "park"), ("dead", "discard"),
        ("dead", "edit", str(letter), "--patch", str(tmp_path / "patch")), ("dead", "prune"), ("status",),
        ("status", "--output", "json"), 
        ("dead", "import", str(tmp_path / "patch")), ("dead", "park", "--yes", "--why", EVIL, "--as", EVIL),
        ("dead", "show", str(letter)),
    ]  # fmt: skip
    for arguments in commands:
        seen = on_terminal(env, *arguments)
        plain = OURS.sub("", seen.replace("\x1b[31mowned", "RAW"))
        assert not re.search("RAW|[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u200f\u202e\u2066]", plain), (arguments, seen)
        assert "\nletter 1: resolved" not in seen.replace("\r", ""), arguments
        assert "Traceback" not in seen, (arguments, seen)
