"""The repository's other verbs, at the command line: edit, discard, park, export, import, prune."""

from __future__ import annotations

import base64
import gzip
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_support import FIXTURES, Place, action

from ingest.soak.system import until


@pytest.fixture
def place(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    return Place(amqp_url, database_url, tmp_path)


def letters(place: Place, *bodies: bytes, **properties: Any) -> None:
    """Letters of bodies that are refused, their ids 1, 2 ... in this order."""
    with place.consuming():
        for count, body in enumerate(bodies, 1):
            place.publish([body], **properties)
            until(lambda count=count: place.one("SELECT count(*) FROM dead_letters") == count, "letters")


def states(place: Place) -> list[str]:
    return [row[0] for row in place.rows("SELECT state FROM dead_letters ORDER BY id")]


def last_event(place: Place) -> tuple[Any, ...]:
    row: tuple[Any, ...] = place.rows("SELECT what, who, why, details FROM dead_letter_events ORDER BY id DESC")[0]
    return row


def test_a_patch_over_many_is_judged_before_it_is_saved_and_then_replayed(place: Place, tmp_path: Path) -> None:
    """The original stays, the change is recorded with who and why, and the replay sends what was corrected."""
    bodies = [action(task="removed"), gzip.compress(action(task="removed")), b"no JSON"]
    letters(place, bodies[0], bodies[2])
    place.publish([bodies[1]], content_encoding="gzip")
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 3, "letters")
    patch = tmp_path / "patch.json"
    patch.write_text('[{"op": "replace", "path": "/task", "value": "delete"}]')
    words = ("dead", "edit", "--patch", str(patch), "--as", "kim", "--why", "knife 99 says removed")
    assert place.repository(*words, check=False).returncode == 1, "one of them is no JSON"
    assert place.one("SELECT count(*) FROM dead_letters WHERE edited_payload IS NOT NULL") == 0
    rows = json.loads(place.repository(*words, "--yes", "--output", "json", check=False).stdout)
    assert [row["saved"] for row in rows] == ["yes", "no", "yes"]
    assert "sent plain" in rows[2]["now"]
    what, who, why, details = last_event(place)
    assert (what, who, why) == ("edited", "kim", "knife 99 says removed")
    assert details["patch"] == json.loads(patch.read_text())
    with place.consuming():
        place.repository("dead", "replay", "--only-fixed", "--yes", "--wait")
    assert states(place) == ["resolved", "open", "resolved"]
    assert [row[0] for row in place.rows("SELECT payload FROM dead_letters ORDER BY id")] == [
        bodies[0], bodies[2], bodies[1],
    ]  # fmt: skip
    assert place.one("SELECT count(*) FROM actions WHERE task = 'delete'") == 2


def test_an_edit_in_the_editor_that_would_still_be_refused_is_not_saved(place: Place, tmp_path: Path) -> None:
    """What $EDITOR leaves is judged; `--anyway` saves it, `--revert` takes it back."""
    letters(place, action(task="removed"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/removed/$WORD/ "$1"\n')
    editor.chmod(0o755)
    os.environ.update(EDITOR=str(editor), WORD="gone", XDG_STATE_HOME=str(tmp_path))
    try:
        refused = place.repository("dead", "edit", "1", "--yes", check=False)
        assert refused.returncode == 1
        assert "what you typed is kept in" in refused.stderr
        assert place.one("SELECT edited_payload FROM dead_letters") is None
        preview = place.repository("dead", "edit", "1", "--anyway")
        assert "nothing is saved yet; --yes does it" in preview.stderr
        assert place.one("SELECT edited_payload FROM dead_letters") is None
        place.repository("dead", "edit", "1", "--anyway", "--yes")
        assert b'"gone"' in place.one("SELECT edited_payload FROM dead_letters")
        place.repository("dead", "edit", "1", "--revert", "--yes")
        assert place.one("SELECT edited_payload FROM dead_letters") is None
        assert place.one("SELECT replay_key = message_key FROM dead_letters")
        os.environ["WORD"] = "delete"
        place.repository("dead", "edit", "1", "--yes")
        assert b'"delete"' in place.one("SELECT edited_payload FROM dead_letters")
    finally:
        del os.environ["EDITOR"], os.environ["WORD"], os.environ["XDG_STATE_HOME"]


def test_what_came_as_the_wrong_kind_or_by_the_wrong_door_is_sent_as_the_right_one(place: Place) -> None:
    """Each is judged as what it is set to before it is saved; what was received is kept, and the history tells."""
    run_id = str(uuid.uuid4())
    start = json.dumps({"action": "start", "run_id": run_id, "start_time": "2026-11-22T05:00:00Z"}).encode()
    letters(place, start, action(entity_type="key"))
    with place.consuming():
        place.publish([action()], routing_key="run.start", type="run_start")
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 3, "letters")
    for wrong, told in (("kind=zebra", "no kind"), ("door=cellar", "no door"), ("age=7", "no fact"), ("node=", "text")):
        refused = place.repository("dead", "edit", "1", "--set", wrong, check=False)
        assert (refused.returncode, told in refused.stderr) == (2, True), refused.stderr
    of_a_run = ("--set", "kind=run_start", "--set", "organization=ponyville", "--set", "node=web01")
    edits = {"1": of_a_run, "2": ("--set", "door=chef"), "3": ("--set", "kind=action")}
    before = place.rows("SELECT kind, door, payload FROM dead_letters ORDER BY id")
    for number, words in edits.items():
        assert "would now be stored" in place.repository("dead", "edit", number, *words).stdout
        place.repository("dead", "edit", number, *words, "--yes", "--as", "kim", "--why", "a shovel")
    what, who, why, details = last_event(place)
    assert (what, who, why, details) == ("edited", "kim", "a shovel", {"envelope": {"kind": "action"}})
    shown = place.repository("dead", "show", "1").stdout
    assert "now: would now be stored" in shown
    assert "kind run_start, organization ponyville, node web01" in shown
    assert all(row["edited"] for row in place.json("dead", "list"))
    place.repository("dead", "edit", "2", "--revert", "--yes")
    assert "still refused" in place.repository("dead", "show", "2").stdout
    place.repository("dead", "edit", "2", *edits["2"], "--yes")
    with place.consuming():
        place.repository("dead", "replay", "--all", "--yes", "--wait")
    assert states(place) == ["resolved"] * 3
    assert place.rows("SELECT kind, door, payload FROM dead_letters ORDER BY id") == before
    assert place.rows("SELECT run_id::text, organization, node_name FROM runs") == [(run_id, "ponyville", "web01")]
    assert place.one("SELECT count(*) FROM actions") == 2


def test_a_decision_needs_yes_and_is_recorded_with_who_and_why(place: Place) -> None:
    """Discard, park and unpark only say what they would do; done, the history knows who did it."""
    letters(place, action(task="x"), action(task="y"))
    assert "2 letters would be discarded" in place.repository("dead", "discard").stderr
    assert states(place) == ["open", "open"]
    place.repository("dead", "discard", "--id", "1", "--yes", "--as", "kim", "--why", "a test")
    assert last_event(place) == ("discarded", "kim", "a test", {"was": "open"})
    place.repository("dead", "park", "--id", "2", "--yes")
    assert states(place) == ["discarded", "parked"]
    assert "0 letters sent" in place.repository("dead", "replay", "--yes").stderr
    place.repository("dead", "unpark", "--yes")
    assert states(place) == ["discarded", "open"]
    place.repository("dead", "unpark", "--state", "discarded", "--yes")
    assert states(place) == ["open", "open"]


def test_what_a_person_discarded_stays_so_when_it_comes_again(place: Place) -> None:
    """The same bytes again are the same decision; what a replay resolved is open again instead."""
    body, key = action(task="x"), action(entity_type="key")
    letters(place, body, key)
    place.repository("dead", "discard", "--id", "1", "--yes")
    with place.consuming(http_profile="wire"):
        place.repository("dead", "replay", "--all", "--yes", "--wait")
    assert states(place) == ["discarded", "resolved"]
    place.publish([body, key])
    with place.consuming():
        until(lambda: place.one("SELECT sum(attempts) FROM dead_letters") == 4, "both came again")
    assert states(place) == ["discarded", "open"]
    events = "SELECT what FROM dead_letter_events ORDER BY id DESC LIMIT 2"
    assert {row[0] for row in place.rows(events)} == {"seen again", "reopened"}


def test_selectors_are_one_language(place: Place) -> None:
    """Every option chooses by its column, and they add up."""
    letters(place, action(task="x"), b"no JSON")
    place.publish([action(task="z", organization_name="canterlot")], "actions", "erchef.node.create")
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM dead_letters") == 3, "letters")

    def chosen(*words: str) -> list[int]:
        found = json.loads(place.repository("dead", "list", *words, "--output", "json", check=False).stdout)
        return [row["id"] for row in found]

    assert chosen() == [1, 2, 3]
    assert chosen("--stage", "decode") == [2]
    assert chosen("--reason", "schema", "--door", "http") == [1]
    assert chosen("--organization", "canterlot") == [3]
    assert chosen("--id", "1", "--id", "3", "--limit", "1") == [1]
    assert chosen("--since", "1h", "--kind", "action") == [1, 2, 3]
    assert chosen("--after", "1") == [2, 3]
    assert chosen("--until", "1h") == []
    assert chosen("--state", "resolved") == []
    assert place.repository("dead", "list", "--since", "yesterday", check=False).returncode == 2
    assert place.repository("dead", "show", "99", check=False).returncode == 1


def test_an_export_imported_elsewhere_is_the_same_letters_once(place: Place, tmp_path: Path) -> None:
    """Twice imported, once there; and through the queue, letters again under the same key."""
    letters(place, action(task="x"), b"\xff\x00", headers={"x-mine": b"\x01"})
    file = tmp_path / "letters.ndjson"
    file.write_text(place.repository("dead", "export").stdout)
    before = place.rows("SELECT message_key, payload, properties::text, details::text FROM dead_letters ORDER BY id")
    place.rows("TRUNCATE dead_letters")
    assert "2 letters imported, 0 were there" in place.repository("dead", "import", str(file)).stderr
    assert "0 letters imported, 2 were there" in place.repository("dead", "import", str(file)).stderr
    after = "SELECT message_key, payload, properties::text, details::text FROM dead_letters ORDER BY id"
    assert place.rows(after) == before
    place.rows("UPDATE dead_letters SET state = 'discarded' WHERE id = (SELECT max(id) FROM dead_letters)")
    file.write_text(place.repository("dead", "export").stdout)
    preview = place.repository("import", str(file), "--output", "json")
    states = [(row["state"], row["messages"], row["sent"]) for row in json.loads(preview.stdout)]
    assert states == [("discarded", 1, "no"), ("open", 1, "would be")]
    assert "1 messages would be sent; --yes sends them" in preview.stderr
    assert place.messages("ingest.actions") == 0
    assert "1 message in the queue" in place.repository("import", str(file), "--yes").stderr
    assert "1 message in the queue" in place.repository("import", str(file), "--yes", "--state", "discarded").stderr
    with place.consuming():
        until(lambda: place.one("SELECT sum(attempts) FROM dead_letters") == 4, "both came by the queue")
    assert place.rows("SELECT message_key FROM dead_letters ORDER BY id") == [row[:1] for row in before]


def test_a_report_that_a_client_kept_is_stored_once_however_often_it_is_imported(place: Place, tmp_path: Path) -> None:
    """failed-reporting-data.json is the end report's body; what its URL said is given by options."""
    capture = json.loads((FIXTURES / "http" / "chef-19.4.14__success_3_updated.json").read_text())
    start, end = (next(each for each in capture["requests"] if each["kind"] == kind) for kind in ("start", "end"))
    report = json.loads(gzip.decompress(base64.b64decode(end["body_base64"])))
    file = tmp_path / "failed-reporting-data.json"
    file.write_text(json.dumps(report, indent=2))
    run_id = end["path"].rpartition("/")[2]
    refused = place.repository("import", str(file), "--node", "web01", check=False)
    assert refused.returncode == 1
    assert "give --organization" in refused.stderr
    whose = ("--organization", capture["organization"], "--node", capture["node"])
    unknown = place.repository("import", str(file), *whose, check=False)
    assert unknown.returncode == 1
    assert f"no run of {capture['node']} in {capture['organization']} that began at" in unknown.stderr
    headers = {"x-organization": capture["organization"], "x-node": capture["node"]}
    place.publish([base64.b64decode(start["body_base64"])], routing_key="run.start", headers=headers)
    facts = ("--organization", capture["organization"], "--node", capture["node"], "--run-id", run_id)
    with place.consuming():
        until(lambda: place.one("SELECT count(*) FROM runs") == 1, "the run started")
        for words in (whose, facts):
            place.repository("import", str(file), *words)
        until(lambda: place.one("SELECT count(*) FROM tallies") == 1, "the second was a duplicate")
    assert place.rows("SELECT run_id::text, status FROM runs") == [(run_id, "success")]
    assert place.one("SELECT count(*) FROM run_resources") == len(report["resources"])
    assert place.one("SELECT count(*) FROM dead_letters") == 0
    assert place.rows("SELECT door, outcome, sum(count) FROM acknowledgements GROUP BY 1, 2") == [
        ("import", "taken", 2)
    ]
    place.rows(
        "INSERT INTO runs"
        " SELECT (jsonb_populate_record(runs, jsonb_build_object('run_id', gen_random_uuid()))).* FROM runs"
    )
    several = place.repository("import", str(file), *whose, check=False)
    assert several.returncode == 1
    assert run_id in several.stderr
    assert "give --run-id: " in several.stderr


def test_a_report_whose_start_was_refused_too_brings_it(place: Place, tmp_path: Path) -> None:
    """The run gets an id, the same one each time, and is stored from its start to its end; the ledger closes."""
    capture = json.loads((FIXTURES / "http" / "chef-19.4.14__success_3_updated.json").read_text())
    end = next(each for each in capture["requests"] if each["kind"] == "end")
    report = json.loads(gzip.decompress(base64.b64decode(end["body_base64"])))
    file = tmp_path / "failed-reporting-data.json"
    file.write_text(json.dumps(report))
    with place.consuming():
        for tallied in (0, 1):
            words = ("--organization", "ponyville", "--node", "web01", "--with-start")
            assert "in the queue" in place.repository("import", str(file), *words).stderr
            until(lambda: place.one("SELECT count(*) FROM runs WHERE status = 'success'") == 1, "the run ended")
            until(lambda: place.one("SELECT count(*) FROM tallies") == tallied, "the second end was a duplicate")  # noqa: B023
    assert place.one("SELECT count(*) FROM runs") == 1
    assert "closed" in place.repository("audit").stderr


def test_what_clients_wrote_for_a_data_collector_into_a_file_is_stored_once_however_often_it_is_imported(
    place: Place, tmp_path: Path
) -> None:
    """A message a line, of several runs; of a file that breaks off, or holds Ruby text, nothing is sent."""
    captures = ("chef-18.11.21__token_success", "chef-16.18.30__missing_role")
    bodies = [
        base64.b64decode(each["body_base64"])
        for name in captures
        for each in json.loads((FIXTURES / "collector" / f"{name}.json").read_text())["requests"]
        if each["kind"].startswith("data_collector")
    ]
    file = tmp_path / "collector.json"
    file.write_bytes(b"\n".join(bodies) + b"\n")
    broken, ruby = tmp_path / "broken.json", tmp_path / "ruby.json"
    broken.write_bytes(b"\n".join(bodies)[:-100])
    ruby.write_text('{"chef_server_fqdn"=>"chef.example.com", "message_type"=>"run_start"}\n')
    for refused, words in ((broken, "line 4"), (ruby, "Ruby text")):
        done = place.repository("import", str(refused), check=False)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    with place.consuming():
        for _ in range(2):
            assert "4 messages in the queue" in place.repository("import", str(file)).stderr
        until(lambda: place.one("SELECT sum(count) FROM tallies") == 4, "the second ones were duplicates")
    runs = place.rows("SELECT run_id::text, status, started_by, ended_by FROM runs ORDER BY start_time")
    assert [row[1:] for row in runs] == [("success", "collector", "collector"), ("failure", "collector", "collector")]
    assert place.one("SELECT count(*) FROM dead_letters") == 0


def test_a_prune_never_takes_what_nobody_settled_unless_told_so(place: Place) -> None:
    """Settled letters go by age and beyond the cap; unsettled ones are counted and stay; one event tells of it."""
    letters(place, *(action(entity_name=str(uuid.uuid4()), task="x") for _ in range(6)))
    place.repository("dead", "discard", "--id", "1", "--id", "2", "--yes")
    place.rows("UPDATE dead_letters SET last_seen = now() - interval '9 days' WHERE id IN (1, 3)")
    words = ("dead", "prune", "--output", "json")
    assert place.json("dead", "prune", letters_keep_days=7, letters_max=0) == [{"state": "discarded", "letters": 1}]
    assert len(states(place)) == 6
    done = place.repository(*words, "--yes", letters_keep_days=7, letters_max=3)
    assert json.loads(done.stdout) == [{"state": "discarded", "letters": 2}]
    assert "4 stay, more than INGEST_LETTERS_MAX=3" in done.stderr
    assert states(place) == ["open"] * 4
    assert last_event(place)[0] == "pruned"
    assert last_event(place)[3] == {"discarded": 2}
    place.repository(*words, "--yes", "--unsettled-too", letters_keep_days=0, letters_max=3)
    assert [row[0] for row in place.rows("SELECT id FROM dead_letters ORDER BY id")] == [4, 5, 6]
