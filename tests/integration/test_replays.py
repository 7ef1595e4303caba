"""Replays as things: looked at, paused, resumed and stopped from another process than the one that sends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from worker_support import Place, fixable, letters, states, unfixable

from ingest.soak.system import until
from tests.patience import LONG


@pytest.fixture
def place(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    return Place(amqp_url, database_url, tmp_path)


@contextmanager
def replaying(place: Place, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`dead replay` in a process of its own."""
    argv = [sys.executable, "-m", "ingest", "dead", "replay", "--all", "--yes", *words]
    process = subprocess.Popen(argv, env=place.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(place: Place, number: int = 1) -> dict[str, Any]:
    """What `dead replays show` says."""
    [shown] = place.json("dead", "replays", "show", str(number))
    return dict(shown)


def test_a_replay_is_paused_resumed_and_stopped_by_whoever_knows_its_number(place: Place) -> None:
    """At rest it holds no letter; stopped, it says by whom and why; resumed, it sends what it had left, once."""
    letters(place, [fixable() for _ in range(60)])
    with replaying(place, "--rate", "5/s", "--name", "knife 99", "--as", "sam") as process:
        until(lambda: place.messages("ingest.actions") >= 2, "some are sent")
        assert "will be paused" in place.repository("dead", "replays", "pause", "1", "--as", "kim").stderr
        until(lambda: told(place)["state"] == "paused", "it heeds that")
        sent = place.messages("ingest.actions")
        paused = told(place)
        assert (paused["sent"], paused["waiting"], paused["total"]) == (sent, sent, 60)
        assert states(place) == {"replaying": sent, "open": 60 - sent}
        assert "is paused" in place.repository("dead", "replays", "pause", "1").stderr
        assert "goes on" in place.repository("dead", "replays", "resume", "1").stderr
        until(lambda: place.messages("ingest.actions") > sent, "it goes on")
        place.repository("dead", "replays", "stop", "1", "--as", "kim", "--why", "too many at once")
        said = process.communicate(timeout=LONG)[1]
        assert process.returncode == 1
    assert 'replay 1 "knife 99" was stopped by kim: too many at once' in said
    sent = place.messages("ingest.actions")
    assert states(place) == {"replaying": sent, "open": 60 - sent}
    shown = place.repository("dead", "replays", "show", "1").stdout
    assert 'replay 1 "knife 99": stopped by kim: too many at once' in shown
    place.rows("UPDATE dead_letter_replays SET rate = NULL")
    assert "goes on" in place.repository("dead", "replays", "resume", "1").stderr
    done = told(place)
    assert (done["state"], done["looked_at"], done["sent"], done["who"]) == ("done", 60, 60, "sam")
    assert place.messages("ingest.actions") == 60
    assert place.one("SELECT count(*) FROM dead_letter_events WHERE what = 'replayed' AND replay = 1") == 60
    for verb in ("pause", "resume", "stop"):
        refused = place.repository("dead", "replays", verb, "1", check=False)
        assert (refused.returncode, "is done" in refused.stderr) == (1, True)
    assert "replay 1" in place.repository("dead", "show", "7").stdout.partition("history:")[2]


def test_a_replay_that_was_killed_is_told_as_interrupted_and_taken_up_by_its_number(place: Place) -> None:
    """Nobody wrote that: its session is gone. It goes on where it stopped; rows and outcomes are each there once."""
    letters(place, [fixable(entity_name=f"key{n}") for n in range(20)] + [unfixable()])
    words = ("dead", "replay", "--all", "--yes", "--as", "sam")
    killed = place.repository(*words, check=False, failpoint='replay_published:key7"')
    assert killed.returncode == -signal.SIGKILL
    until(lambda: told(place)["state"] == "interrupted", "the server learns of it")
    assert told(place)["sent"] == place.messages("ingest.actions") - 1, "the last was published and not marked"
    assert "nobody carries it out" in place.repository("dead", "replays", "pause", "1", check=False).stderr
    with place.consuming(http_profile="wire"):
        place.repository("dead", "replays", "resume", "1", "--wait", check=False)
        until(lambda: told(place)["waiting"] == 0, "all are settled")
    done = told(place)
    assert (done["state"], done["sent"], done["resolved"], done["failed"], done["waiting"]) == ("done", 21, 20, 1, 0)
    assert done["outcomes"][0] == {"outcome": "resolved", "became": "created", "letters": 20}
    assert place.one("SELECT count(*) FROM actions") == 20
    [again] = place.json("dead", "list", "--replay", "1", "--state", "open")
    assert again["reason"] == "schema"


def test_an_interrupted_replay_can_be_given_up(place: Place) -> None:
    """Then the same command begins a new one, with a number of its own."""
    letters(place, [fixable(entity_name=f"key{n}") for n in range(2)])
    words = ("dead", "replay", "--all", "--yes", "--as", "sam")
    place.repository(*words, check=False, failpoint="replay_marked:key")
    until(lambda: told(place)["state"] == "interrupted", "the server learns of it")
    assert "is stopped now" in place.repository("dead", "replays", "stop", "1", "--as", "kim").stderr
    assert (told(place)["state"], told(place)["wanted_by"]) == ("stopped", "kim")
    assert "1 letters sent" in place.repository(*words).stderr
    assert [each["replay"] for each in place.json("dead", "replays", "list")] == [2, 1]
    assert [each["replay"] for each in place.json("dead", "replays", "list", "--before", "2")] == [1]
    missing = place.repository("dead", "replays", "show", "9", check=False)
    assert (missing.returncode, "there is no replay 9" in missing.stderr) == (1, True)


def test_a_cause_has_a_note_and_what_matches_nothing_says_what_there_is(place: Place) -> None:
    """The note is the latest one's, by whoever wrote it; a filter that finds no letter is exit code 1."""
    letters(place, [unfixable()])
    [cause] = place.json("dead", "groups")
    assert (cause["organizations"], cause["nodes"], cause["note"]) == (1, 0, None)
    name = cause["fingerprint"]
    for text in ("ask the lab", "knife 99 is to blame"):
        place.repository("dead", "note", name[:8], text, "--as", "kim")
    [cause] = place.json("dead", "groups")
    assert (cause["note"], cause["noted_by"]) == ("knife 99 is to blame", "kim")
    assert "knife 99 is to blame" in place.repository("dead", "groups").stdout
    place.repository("dead", "note", name, "")
    assert place.json("dead", "groups")[0]["note"] is None
    missing = place.repository("dead", "note", "0123456789abcdef", "x", check=False)
    assert (missing.returncode, "is no cause" in missing.stderr) == (1, True)
    for verb in ("list", "groups"):
        none = place.repository("dead", verb, "--kind", "run_end", check=False)
        assert (none.returncode, "no letters match kind run_end; there are: 1 open" in none.stderr) == (1, True)


def test_a_replay_stops_before_more_letters_fail_than_it_was_allowed(place: Place) -> None:
    """However fast it sends, so many are tried that no more can fail; the rest is as it was."""
    letters(place, [unfixable() for _ in range(12)])
    with place.consuming():
        words = ("dead", "replay", "--all", "--yes", "--until-failures", "3")
        stopped = place.repository(*words, check=False)
    assert stopped.returncode == 1
    assert "was stopped after 3 letters failed again" in stopped.stderr
    assert (told(place)["state"], told(place)["sent"], told(place)["failed"]) == ("stopped", 3, 3)
    assert dict(place.rows("SELECT attempts, count(*) FROM dead_letters GROUP BY 1")) == {1: 9, 2: 3}
