"""Replays: exact, paced, filtered, stoppable, and killed at every step without losing or doubling anything."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_support import FIXTURES, Place, action, fixable, letters, states, unfixable

from ingest.soak.system import until
from tests.patience import LONG

CAPTURED = [json.loads(line) for line in (FIXTURES / "actions.jsonl").read_text().splitlines()]


@pytest.fixture
def place(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    return Place(amqp_url, database_url, tmp_path)


def quiet(place: Place) -> bool:
    """Nothing is under way any more."""
    return states(place).get("replaying", 0) == 0 and place.messages("ingest.actions") == 0


@pytest.mark.parametrize("many", [300, pytest.param(1_000, marks=pytest.mark.slow)])
def test_thousands_of_letters_survive_a_replay_killed_at_each_step(place: Place, many: int) -> None:
    """Grouped in under a second; killed after a claim, a publish and a mark, and run again: rows, letters and
    replay counts are exactly those of a replay that was never killed."""
    good = [fixable(entity_name=f"key{n}") for n in range(9 * many)]
    bad = [unfixable() for _ in range(many)]
    mixed = [body for n in range(many) for body in (*good[n * 9 : n * 9 + 9], bad[n])]
    letters(place, mixed)
    began = time.monotonic()
    groups = place.json("dead", "groups")
    assert [(row["letters"], row["reason"]) for row in groups] == [(9 * many, "schema"), (many, "schema")]
    assert time.monotonic() - began < 30  # The process starts in it; the query itself is timed by PostgreSQL.
    with place.consuming(http_profile="wire"):
        for number, moment in ((700, "replay_claimed"), (1_400, "replay_published"), (2_100, "replay_marked")):
            killed = place.repository(
                "dead", "replay", "--all", "--yes", "--as", "kim", check=False, failpoint=f'{moment}:key{number}"'
            )
            assert killed.returncode == -signal.SIGKILL
        done = place.repository("dead", "replay", "--all", "--yes", "--wait", "--as", "kim", check=False)
        until(lambda: quiet(place), "all are settled")
    assert done.returncode == 1, "some failed again"
    assert states(place) == {"resolved": 9 * many, "open": many}
    assert place.one("SELECT count(*) FROM actions") == 9 * many
    assert place.one("SELECT count(DISTINCT id) FROM actions") == 9 * many
    assert place.rows("SELECT DISTINCT replays, failed_replays, attempts FROM dead_letters WHERE state = 'open'") == [
        (1, 1, 2)
    ]
    assert place.rows("SELECT DISTINCT replays FROM dead_letters WHERE state = 'resolved'") == [(1,)]
    assert "goes on" in done.stderr
    [told] = place.json("dead", "replays", "list")
    assert (told["state"], told["looked_at"], told["total"]) == ("done", 10 * many, 10 * many)
    assert (told["sent"], told["resolved"], told["failed"], told["waiting"]) == (10 * many, 9 * many, many, 0)
    outcomes = [line.split() for line in done.stdout.splitlines()[-2:]]
    expected = [[str(many), "failed", "schema"], [str(9 * many), "created", "resolved"]]
    assert sorted(map(sorted, outcomes)) == sorted(expected)


def test_two_operators_never_send_one_letter_twice(place: Place) -> None:
    """Side by side over the same letters, each letter is sent once, whoever sends it."""
    letters(place, [fixable() for _ in range(300)])
    argv = [sys.executable, "-m", "ingest", "dead", "replay", "--all", "--yes", "--as"]
    pair = [
        subprocess.Popen([*argv, who], env=place.environment(), stderr=subprocess.PIPE, text=True)
        for who in ("kim", "sam")
    ]
    said = [each.communicate(timeout=LONG)[1] for each in pair]
    assert [each.returncode for each in pair] == [0, 0]
    sent = [int(text.split(" letters sent")[0].split()[-1]) for text in said]
    assert sum(sent) == 300
    told = {each["who"]: each for each in place.json("dead", "replays", "list")}
    assert sorted(each["sent"] for each in told.values()) == sorted(sent)
    assert {each["state"] for each in told.values()} == {"done"}
    assert place.messages("ingest.actions") == 300
    assert place.rows("SELECT what, count(*) FROM dead_letter_events WHERE what = 'replayed' GROUP BY what") == [
        ("replayed", 300)
    ]


def test_captured_messages_that_only_wire_takes_are_stored_by_one_replay_of_the_fixed(place: Place) -> None:
    """`key` and `permission` actions: letters under `documented`; `show` says they would now be stored."""
    by_type = {json.loads(base64.b64decode(each["body_base64"]))["entity_type"]: each for each in CAPTURED}
    wanted = [by_type["key"], by_type["permission"]]
    for each in CAPTURED:
        place.publish([base64.b64decode(each["body_base64"])], each["exchange"], each["routing_key"])
    place.publish([unfixable()])
    with place.consuming(chef_profile="documented"):
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 3, "letters")
        until(lambda: place.one("SELECT count(*) FROM actions") == len(CAPTURED) - 2, "rows")
    listed = {row["id"]: row for row in place.json("dead", "list", "--door", "chef")}
    assert len(listed) == 2
    for letter_id in listed:
        shown = place.json("dead", "show", str(letter_id), chef_profile="documented")[0]
        assert shown["now"]["text"].startswith("still refused: ")
        assert "would now be stored" in place.repository("dead", "show", str(letter_id)).stdout
    preview = place.repository("dead", "replay", "--only-fixed").stderr
    assert "2 letters would be sent; 2 would now pass" in preview
    plain = place.repository("dead", "replay").stderr
    assert "2 letters would be sent; 2 would now pass" in plain
    assert "1 would be refused again, and are sent only with --all" in plain
    with place.consuming():
        done = place.repository("dead", "replay", "--yes", "--wait", check=False)
        assert done.returncode == 1
        assert "1 would be refused again and were not sent" in done.stderr
        until(lambda: quiet(place), "all are settled")
    assert states(place) == {"resolved": 2, "open": 1}
    stored = {row[0] for row in place.rows("SELECT id::text FROM actions")}
    assert {json.loads(base64.b64decode(each["body_base64"]))["id"] for each in wanted} <= stored
    assert len(stored) == len(CAPTURED)
    assert "2 letters sent" in done.stderr


def test_a_replay_sends_the_bytes_and_leaves_the_brokers_death_headers_off(place: Place) -> None:
    """What arrives is what was published, with the letter's id, and nothing that was the first journey's."""
    body = unfixable()
    first = {"x-mine": "kept", "x-death": [{"count": 3}], "x-first-death-queue": "q", "x-retries": 4}
    place.publish([body], reply_to="nobody", correlation_id="1", expiration="60000", headers=first, message_id="m")
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 1, "a letter")
    place.repository("dead", "replay", "--all", "--yes")
    from consumers.broker.connection import connect

    connection = connect(place.amqp_url, heartbeat=30, name="test")
    method, properties, payload = connection.channel().basic_get("ingest.actions", auto_ack=True)
    connection.close()
    assert payload == body
    assert (method.exchange, method.routing_key, properties.message_id) == ("ingest", "action", "m")
    arrived = {name: value for name, value in properties.headers.items() if name != "x-delivery-count"}
    assert arrived == {"x-mine": "kept", "x-letter-id": 1, "x-replay": 1}
    assert (properties.reply_to, properties.correlation_id, properties.expiration) == (None, None, None)


def test_a_letter_whose_replays_fail_is_parked_and_then_replayed_only_when_named(place: Place) -> None:
    """Never a second letter; `attempts` and the latest reason are its own."""
    letters(place, [unfixable()])
    with place.consuming(max_replays=2):
        for _ in range(2):
            assert place.repository("dead", "replay", "--all", "--yes", "--wait", check=False).returncode == 1
        assert states(place) == {"parked": 1}
        assert "0 letters sent" in place.repository("dead", "replay", "--all", "--yes").stderr
        assert place.repository("dead", "replay", "--all", "--yes", "--wait", "--id", "1", check=False).returncode == 1
        until(lambda: quiet(place), "it is settled")
    assert place.rows("SELECT state, attempts, replays, failed_replays FROM dead_letters") == [("parked", 4, 3, 3)]
    events = [row[0] for row in place.rows("SELECT what FROM dead_letter_events ORDER BY at, id")]
    assert events == ["opened", "replayed", "failed again", "replayed", "failed again", "parked", *events[6:]]
    assert events[6:] == ["replayed", "failed again"]


def test_a_second_copy_of_a_replay_is_not_another_failure(place: Place) -> None:
    """A worker that dies between commit and ack gets the replay again: the letter is as it was."""
    letters(place, [unfixable()])
    place.repository("dead", "replay", "--all", "--yes")
    with place.consuming(failpoint="after_commit:no-such-marker"):
        until(lambda: states(place) == {"open": 1}, "it failed again")
    before = place.rows("SELECT attempts, replays, failed_replays, state FROM dead_letters")
    headers = {"x-letter-id": 1, "x-replay": 1}
    body = place.one("SELECT payload FROM dead_letters")
    place.publish([body], headers=headers)
    place.publish([action()])
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM actions") == 1, "what came after it is stored")
    assert (
        place.rows("SELECT attempts, replays, failed_replays, state FROM dead_letters") == before == [(2, 1, 1, "open")]
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x-letter-id": 1, "x-replay": 1},
        {"x-letter-id": 2**63 - 1, "x-replay": 1},
        {"x-letter-id": -1},
        {"x-letter-id": "1"},
    ],
)
def test_a_letter_id_in_a_strangers_header_does_no_harm(place: Place, headers: dict[str, Any]) -> None:
    """Only the message that a letter sends can settle it; any other is a message like all."""
    letters(place, [unfixable()])
    place.rows("UPDATE dead_letters SET replays = 1")
    stranger = action()
    place.publish([stranger, unfixable()], headers=headers)
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 2, "a letter of its own")
        until(lambda: place.one("SELECT count(*) FROM actions") == 1, "a row")
    assert place.rows("SELECT state, attempts FROM dead_letters ORDER BY id") == [("open", 1), ("open", 1)]


def test_a_replay_keeps_its_rate_and_stops_after_the_letter_in_hand(place: Place) -> None:
    """SIGINT: what was sent is sent, the rest is open as before, and the words say how to go on."""
    letters(place, [fixable() for _ in range(40)])
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", "dead", "replay", "--all", "--yes", "--rate", "20/s"],
        env=place.environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: place.messages("ingest.actions") >= 5, "some are sent")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=LONG)[1]
    assert process.returncode == 130
    assert "the same command goes on where it stopped" in said
    sent = place.messages("ingest.actions")
    assert 5 <= sent < 40
    assert states(place) == {"replaying": sent, "open": 40 - sent}
    began = time.monotonic()
    place.repository("dead", "replay", "--all", "--yes", "--rate", "20/s")
    assert time.monotonic() - began >= (40 - sent - 1) / 20, "faster than the rate allows"
    assert place.messages("ingest.actions") == 40


def test_an_action_posted_during_a_run_resolves_its_letter_without_a_row(place: Place) -> None:
    """DuringRun settles a letter as Created does, and says so."""
    run_id = str(uuid.uuid4())
    letters(place, [fixable(remote_request_id=run_id)])
    place.rows(
        "INSERT INTO runs (run_id, organization, node_name, start_time) VALUES (%s, 'ponyville', 'n', now())", run_id
    )
    with place.consuming(http_profile="wire"):
        place.repository("dead", "replay", "--all", "--yes", "--wait")
    state, resolution = place.rows("SELECT state, resolution FROM dead_letters")[0]
    assert (state, resolution["code"], resolution["run_id"]) == ("resolved", "during_run", run_id)
    assert place.one("SELECT count(*) FROM actions") == 0


def test_looking_again_and_again_changes_nothing(place: Place) -> None:
    """`list`, `show` and `groups`, and the preview of a replay, leave tables and queues as they are."""
    letters(place, [fixable(), unfixable()])
    place.publish([action()])
    tables = ("dead_letters", "dead_letter_events", "dead_letter_replays", "actions", "action_ids", "tallies")

    def everything() -> list[Any]:
        return [place.rows(f"SELECT xmin, * FROM {table} ORDER BY 2") for table in tables]

    before = everything()
    for _ in range(20):
        for words in (["list"], ["groups"], ["show", "1"]):
            place.repository("dead", *words, http_profile="wire")
    place.repository("dead", "replay", http_profile="wire")
    assert everything() == before
    assert place.messages("ingest.actions") == 1
    assert place.messages("ingest.dead") == 0
