"""Every field that a stranger fills, in every place where it is shown: on a real terminal it steers nothing."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
import pytest
from operate_support import ROOT, command, declared, environment
from toy_chef_server import USER, chef_server, pem, write_user

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


def on_terminal(
    env: dict[str, str],
    *arguments: str,
    columns: int = 300,
    keys: Mapping[str, str] = {},
    codes: Sequence[int] = (0, 1),
) -> str:
    """What a command sends to its terminal of 24 lines, standard error included; each of `keys` is pressed once its
    word is seen. It ends by one of `codes`."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, columns))
    running = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "ingest", *arguments], stdin=child, stdout=child, stderr=child,
        env=env | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(child)
    seen, left = b"", dict(keys)
    try:
        while piece := os.read(parent, 65536):
            seen += piece
            for word in [word for word in left if word.encode() in seen]:
                os.write(parent, left.pop(word).encode())
    except OSError:
        pass
    os.close(parent)
    assert running.wait(LONG) in codes, seen
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


def test_a_letter_is_a_line_of_any_terminal_and_its_cause_is_found_by_what_is_shown(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """At 80 and at 100 columns ids and fingerprints are whole, the reason is cut with the line, --wide has it all; in a
    pipe nothing is cut and nothing padded."""
    env = environment(amqp_url, database_url, tmp_path)
    why = "a reason in many words " * 9
    facts = {"evil": "ponyville-web-01", "json": psycopg.types.json.Json({"name": why}), "stage": "meaning"}
    with psycopg.connect(database_url) as connection:
        for body in (b"1", b"2"):
            (letter,) = connection.execute(INSERT.encode(), facts | {"body": body}).fetchone() or ()
    for columns in (80, 100):
        for verb in ("list", "groups"):
            shown = on_terminal(env, "dead", verb, "--fingerprint", "ponyville", columns=columns)
            head, *lines = OURS.sub("", shown).replace("\r", "").splitlines()
            of_letters = [line for line in lines if "ponyvill" in line]
            assert len(of_letters) == (2 if verb == "list" else 1), shown
            assert all(len(line) <= columns and line.endswith("…") for line in of_letters), shown
            assert head.rstrip().endswith("why"), shown
            assert of_letters[-1].split()[0] == (str(letter) if verb == "list" else "2")
    assert why.strip() in " ".join(on_terminal(env, "dead", "list", "--wide", columns=80).split())
    piped = command("dead", "list", env=env).stdout
    assert why.strip() in piped
    assert not [line for line in piped.splitlines() if line != line.rstrip()]
    assert command("dead", "list", "--fingerprint", "pony", env=env).returncode == 2


@pytest.mark.parametrize("columns", [80, 100])
def test_keys_sync_shows_how_far_it_is_and_asks_before_it_removes(tmp_path: Path, columns: int) -> None:
    """A bar; what would be removed, in lines of the terminal, and a question; no is no, and the file is there."""
    (tmp_path / "ponyville").mkdir()
    gone = tmp_path / "ponyville" / "gone.pem"
    gone.write_text("of a client that is no more")
    with chef_server() as server:
        server.owners = {"clients/web1": {"default": pem(USER)}}
        asked = ("keys", "sync", server.url, "--user", "rarity", "--key", str(write_user(tmp_path)), "--prune",
                 "--folder", str(tmp_path))  # fmt: skip
        seen = on_terminal(dict(os.environ), *asked, columns=columns, keys={"remove these": "n\n"})
        assert gone.exists(), seen
        plain = OURS.sub("", seen).replace("\r", "\n")
        assert "ponyville: asked for" in plain, seen
        assert "1/1" in plain, seen
        assert all(len(line) <= columns for line in plain.splitlines()), seen
        assert re.search(r"^removed +would be +ponyville +client +gone *$", plain, re.M), seen
        seen = on_terminal(dict(os.environ), *asked, columns=columns, keys={"remove these": "y\n"})
    assert not gone.exists(), seen


@pytest.mark.parametrize("columns", [80, 100])
def test_a_replay_shows_a_bar_and_ctrl_c_ends_it_after_the_letter_in_hand(
    amqp_url: str, database_url: str, tmp_path: Path, columns: int
) -> None:
    """A line of the terminal that says how many of how many; Ctrl-C is 130, nothing is half sent, and the words say how
    to go on."""
    env = environment(amqp_url, database_url, tmp_path)
    assert command("topology", "declare", env=env).returncode == 0
    facts = {"evil": "a", "json": psycopg.types.json.Json({}), "stage": "meaning"}
    with psycopg.connect(database_url) as connection:
        for number in range(40):
            connection.execute(INSERT.encode(), facts | {"body": str(number).encode()})
        connection.execute("UPDATE dead_letters SET kind = 'action', properties = '{}', fingerprint = 'f'")
    asked = ("dead", "replay", "--all", "--yes", "--rate", "5/s")
    seen = on_terminal(env, *asked, columns=columns, keys={"3/40": "\x03"}, codes=(130,))
    plain = OURS.sub("", seen)
    assert re.search(r"looked at .* [0-9]+/40", plain), seen
    bars = [line for line in re.split(r"[\r\n]+", plain) if "looked at" in line]
    assert max(map(len, bars)) <= columns, seen
    assert "the same command goes on where it stopped" in plain, seen
    with psycopg.connect(database_url) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM dead_letters GROUP BY state").fetchall())
    assert 3 <= states["replaying"] < 40
    assert states["open"] == 40 - states["replaying"]


@pytest.mark.parametrize(("answer", "columns", "saved"), [("n", 80, "would be"), ("y", 100, "yes")])
def test_what_was_typed_in_an_editor_is_saved_when_that_is_agreed_to(
    amqp_url: str, database_url: str, tmp_path: Path, answer: str, columns: int, saved: str
) -> None:
    """The question says what would become of it; no saves nothing, and what was typed is kept."""
    action = json.loads((ROOT / "ingest" / "demo" / "action.json").read_text()) | {"task": "removed"}
    facts = {"evil": "a", "json": psycopg.types.json.Json({}), "stage": "schema", "body": json.dumps(action).encode()}
    with psycopg.connect(database_url) as connection:
        connection.execute(INSERT.encode(), facts)
        connection.execute("UPDATE dead_letters SET kind = 'action', organization = NULL, node = NULL, run_id = NULL")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/removed/delete/ "$1"\n')
    editor.chmod(0o755)
    env = environment(amqp_url, database_url, tmp_path) | {"EDITOR": str(editor), "XDG_STATE_HOME": str(tmp_path)}
    env.pop("VISUAL", None)
    seen = on_terminal(env, "dead", "edit", "1", columns=columns, keys={"save it?": f"{answer}\n"})
    plain = OURS.sub("", seen)
    assert "would now be stored: /actions/" in plain, seen
    assert re.search(rf"^1 +{saved} +would now be stored", plain, re.M), seen
    with psycopg.connect(database_url) as connection:
        (edited,) = connection.execute("SELECT edited_payload FROM dead_letters").fetchone() or ()
    assert (edited is not None) == (answer == "y")


def test_watch_says_the_verdict_first_hears_keys_and_ends_on_q(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """24 lines of 80: the verdict with its clock is the first, then what is wrong; + is answered; q is exit 0."""
    env = environment(amqp_url, database_url, tmp_path)
    seen = on_terminal(env, "status", "--watch", columns=80, keys={"TROUBLE": "+", "not scaled": "q"})
    first = OURS.sub("", seen).replace("\r", "").splitlines()[0]
    assert re.fullmatch(r"[0-9]{2}:[0-9]{2}:[0-9]{2}Z  TROUBLE \(.*", first), seen
    assert "not scaled: no supervisor answers" in seen


def test_watch_pauses_and_resumes_once_it_has_asked(amqp_url: str, database_url: str, tmp_path: Path) -> None:
    """p asks, y does it; y by itself does nothing."""
    declared(amqp_url)
    env = environment(amqp_url, database_url, tmp_path)
    seen = on_terminal(env, "status", "--watch", columns=80, keys={"TROUBLE": "yp", "y does it": "y", "PAUSED by": "q"})
    assert "pause every queue, everywhere?" in seen
    seen = on_terminal(
        env, "status", "--watch", columns=80, keys={"PAUSED by": "p", "every queue? y": "y", "resumed:": "q"}
    )
    assert "resumed: workers take messages again" in seen
    assert command("resume", "all", env=env).returncode == 1
