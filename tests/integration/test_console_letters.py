"""What an operator does about letters in the console, by the console's own role: seen first, done once, kept with who
and why; and who may only look does none of it."""

from __future__ import annotations

import getpass
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from console_seeded import SECRET, lesser
from console_support import OWN, Tags, console, machine
from logging_process import LoggingProcess
from worker_support import Place, fixable, unfixable

from ingest.access import tokens
from ingest.console.views import CHANGES, CHECKS
from ingest.soak.system import until
from tests.patience import LONG

LETTER = """INSERT INTO dead_letters (message_key, replay_key, state, stage, reason, details, fingerprint, kind, door,
    organization, node, exchange, routing_key, properties, payload, worker_version, sent_by)
    SELECT uuid_send(gen_random_uuid()), uuid_send(gen_random_uuid()), %(state)s, 'schema',
           'schema', '{"task": "is <b>none</b>"}', rpad(%(name)s::text, 16, '0'), 'action', 'http', %(name)s,
           'web' || mod(n, 3), 'ingest', 'action', '{}', %(payload)s, '1', %(name)s
    FROM generate_series(1, %(many)s) AS n RETURNING id"""


class Clerk(NamedTuple):
    """A console by the lesser role, and what the tables say to their owner."""

    http: httpx.Client
    place: Place

    def put(self, name: str, many: int = 1, state: str = "open", payload: bytes | None = None) -> list[int]:
        """So many letters of an organization, and a cause, of this name."""
        values = {"name": name, "many": many, "state": state, "payload": payload or fixable()}
        with psycopg.connect(self.place.database_url, autocommit=True) as connection:
            return [row[0] for row in connection.execute(LETTER, values).fetchall()]

    def states(self, name: str) -> dict[str, int]:
        rows = "SELECT state, count(*) FROM dead_letters WHERE organization = %s GROUP BY state"
        return dict(self.place.rows(rows, name))

    def page(self, path: str, status: int = 200, **wanted: Any) -> Tags:
        answer = self.http.get(path, params=wanted or None)
        assert answer.status_code == status, answer.text
        return Tags(answer.text)

    def form(self, path: str, **wanted: Any) -> dict[str, str]:
        """The fields that a page's form would send."""
        return self.page(path, **wanted).form

    def post(self, path: str, sent: dict[str, str], status: int = 303) -> str:
        """Where it leads, or what it says."""
        answer = self.http.post(path, data=sent)
        assert answer.status_code == status, answer.text
        return answer.headers["location"] if status == 303 else Tags(answer.text).text


@pytest.fixture(scope="module")
def clerk(vhost_pool: Any, databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clerk]:
    folder = tmp_path_factory.mktemp("clerk")
    amqp_url, url = vhost_pool.take(), databases.create(migrated=True)
    place = Place(amqp_url, url, folder)
    looked_at = machine(folder, database_url=lesser(url), amqp_url=amqp_url, letters_keep_days=1)
    with console(looked_at, **OWN) as client:
        yield Clerk(client, place)
    databases.drop(url)
    vhost_pool.give_back(amqp_url)


@pytest.mark.parametrize(
    ("verb", "before", "after", "event"),
    [("park", "open", "parked", "parked"), ("unpark", "parked", "open", "unparked"),
     ("discard", "open", "discarded", "discarded")],
)  # fmt: skip
def test_a_decision_is_seen_then_made_with_who_and_why(
    clerk: Clerk, verb: str, before: str, after: str, event: str
) -> None:
    """Of a filter's letters, and of one; looking made none, and a resolved letter is never meant."""
    name = f"{verb}s"
    numbers = clerk.put(name, 3, before)
    kept = clerk.put(f"{name}2", 1, before)
    seen = clerk.page("/letters/confirm", verb=verb, organization=name)
    assert f"{verb.capitalize()} 3 letters?" in seen.text
    assert "is <b>none</b>" in seen.text
    assert clerk.states(name) == {before: 3}
    clerk.place.rows("UPDATE dead_letters SET state = 'resolved', resolution = '{}' WHERE id = %s", numbers[0])
    refused = clerk.post("/letters", seen.form | {"why": "x"}, 409)
    assert "2 letters are meant now, and 3 were when you looked" in refused
    assert clerk.states(name) == {before: 2, "resolved": 1}
    sent = clerk.form("/letters/confirm", verb=verb, organization=name) | {"why": "<i>lab</i>"}
    assert clerk.post("/letters", sent) == f"/letters?organization={name}"
    assert clerk.states(name) == {after: 2, "resolved": 1}
    told = "SELECT DISTINCT what, who, why FROM dead_letter_events WHERE letter_id = ANY (%s)"
    assert clerk.place.rows(told, numbers) == [(event, getpass.getuser(), "<i>lab</i>")]
    assert clerk.post("/letters", clerk.form("/letters/confirm", verb=verb, id=kept[0])) == f"/letters/{kept[0]}"
    assert clerk.states(f"{name}2") == {after: 1}
    assert f"{event} by {getpass.getuser()}" in clerk.page(f"/letters/{kept[0]}").words
    assert "there is nothing to" in clerk.page("/letters/confirm", verb=verb, organization="nobody").text


def test_more_than_a_hundred_are_changed_only_by_who_types_how_many(clerk: Clerk) -> None:
    """Nothing typed, or another number, changes nothing; nor does a form that hides how many were seen."""
    clerk.put("crowd", 101)
    sent = clerk.form("/letters/confirm", verb="park", organization="crowd")
    for typed in ("", "100", "１０１", "0101"):
        assert "type 101" in clerk.post("/letters", sent | {"typed": typed}, 400)
    for counted in ("", "x", "-1"):
        clerk.post("/letters", sent | {"counted": counted, "typed": "101"}, 400)
    assert "101 letters are meant now" in clerk.post("/letters", sent | {"counted": "100"}, 409)
    assert clerk.states("crowd") == {"open": 101}
    clerk.post("/letters", sent | {"typed": "101"})
    assert clerk.states("crowd") == {"parked": 101}


def test_a_list_has_the_order_that_is_asked_for_and_goes_on_only_where_that_stays(clerk: Clerk) -> None:
    """The newest first unless another is named; of the largest there is one page, and no next one."""
    numbers = [*clerk.put("orderly", 51), *clerk.put("orderly", 1, payload=fixable() + b" " * 99)]

    def listed(**wanted: Any) -> list[int]:
        # Of one cause there are no cards, so that what is linked is the list.
        page = clerk.page("/letters", fingerprint="orderly".ljust(16, "0"), **wanted)
        links = [str(attributes.get("href")) for _, attributes in page.tags]
        assert ("Next page" in page.text) == (wanted.get("sort") != "size" and "after" not in wanted)
        return [int(link.removeprefix("/letters/")) for link in links if link.removeprefix("/letters/").isdecimal()]

    assert listed() == numbers[:1:-1]
    assert listed(after=numbers[2]) == [numbers[1], numbers[0]]
    assert listed(sort="oldest") == numbers[:50]
    assert listed(sort="oldest", after=numbers[49]) == numbers[50:]
    assert listed(sort="size") == [numbers[-1], *numbers[:49]]
    assert "its order is newest or oldest" in clerk.page("/letters", 400, sort="size", after=1).text
    assert "sort must be one of" in clerk.page("/letters", 400, sort="id; DROP TABLE runs").text


def test_letters_are_pruned_as_the_settings_say(clerk: Clerk) -> None:
    """Settled ones that are old; unsettled ones only where that was asked for and seen. One event tells of it."""
    clerk.put("old", 2, "discarded")
    [lost] = clerk.put("old2", 1)
    clerk.put("young", 1, "discarded")
    clerk.place.rows("UPDATE dead_letters SET last_seen = now() - interval '3 days' WHERE organization ^@ 'old'")
    seen = clerk.page("/letters/confirm", verb="prune", organization="old")
    assert "INGEST_LETTERS_KEEP_DAYS" in seen.text
    assert clerk.post("/letters", seen.form | {"why": "full"}) == "/letters"
    assert (clerk.states("old"), clerk.states("young")) == ({}, {"discarded": 1})
    pruned = "SELECT who, why, details::text FROM dead_letter_events WHERE what = 'pruned'"
    assert clerk.place.rows(pruned) == [(getpass.getuser(), "full", '{ "discarded" : 2 }')]
    assert "nothing to prune" in clerk.page("/letters/confirm", verb="prune", organization="old2").text
    sent = clerk.form("/letters/confirm", verb="prune", organization="old2", unsettled_too="yes")
    clerk.place.rows("UPDATE dead_letters SET last_seen = now() WHERE id = %s", lost)
    assert "0 letters are meant now" in clerk.post("/letters", sent, 409)
    clerk.place.rows("UPDATE dead_letters SET last_seen = now() - interval '3 days' WHERE id = %s", lost)
    clerk.post("/letters", sent)
    assert clerk.states("old2") == {}


def test_a_note_is_left_on_a_cause_and_shown_on_its_card(clerk: Clerk) -> None:
    """By whom; with how many of its letters are of which organization and node; without a text it goes."""
    clerk.put("noted", 4)
    cause = "noted".ljust(16, "0")
    sent = clerk.form("/letters/note", fingerprint=cause)
    assert clerk.post("/letters/note", sent | {"text": "ask <b>the lab</b>"}) == "/letters"
    cards = clerk.page("/letters", organization="noted").words
    assert f"ask <b>the lab</b> {getpass.getuser()}" in cards
    assert "Organization: noted 4. Node: web1 2, web0 1, web2 1. Sender: noted 4." in cards
    clerk.post("/letters/note", clerk.form("/letters/note", fingerprint=cause) | {"text": " "})
    cards = clerk.page("/letters", organization="noted").text
    assert ("the lab" in cards, "Leave a note…" in cards) == (False, True)
    for wrong in ({"text": "x" * 2001}, {"fingerprint": ""}):
        clerk.post("/letters/note", sent | wrong, 400)
    clerk.post("/letters/note", sent | {"text": "x", "fingerprint": "none of them"}, 404)


def test_a_file_of_letters_is_what_the_command_exports(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, of every state; more than a page sends is refused before it begins."""
    clerk.put("filed", 2)
    clerk.put("filed", 1, "discarded", payload=b"\x00\xff")
    answer = clerk.http.get("/letters/export", params={"organization": "filed"})
    assert answer.headers["content-disposition"] == 'attachment; filename="letters.ndjson"'
    assert answer.text == clerk.place.repository("dead", "export", "--organization", "filed").stdout
    assert len(answer.text.splitlines()) == 3
    monkeypatch.setattr("ingest.console.views.letters.exported.MOST", 2)
    assert "these are 3 letters" in clerk.page("/letters/export", 413, organization="filed").text


def test_a_replay_is_begun_after_it_was_seen_and_is_a_process_of_its_own(clerk: Clerk) -> None:
    """Its preview counts, its process is its own, its page says how far it is; stopped, it is resumed from there."""
    clerk.put("sent", 3)
    wanted = {"organization": "sent", "accepts": "all", "name": "knife <99>", "rate": "0.2/s", "until_failures": "9"}
    seen = clerk.page("/replays/new", **wanted)
    assert "3 of 3 letters would be sent" in seen.words
    assert clerk.place.one("SELECT count(*) FROM dead_letter_replays") == 0
    assert "3 letters are meant now" in clerk.post("/replays/new", seen.form | {"counted": "2"}, 409)
    assert clerk.place.one("SELECT count(*) FROM dead_letter_replays") == 0
    to = clerk.post("/replays/new", seen.form | {"why": "<i>fixed</i>"})
    number = int(to.rpartition("/")[2])
    row = "SELECT name, who, why, accepts, rate, until_failures FROM dead_letter_replays WHERE id = %s"
    asked = ("knife <99>", getpass.getuser(), "<i>fixed</i>", "all", pytest.approx(0.2), 9)
    assert clerk.place.rows(row, number) == [asked]
    until(lambda: clerk.place.messages("ingest.actions") == 1, "the first is sent")
    assert "Running" in clerk.page(to).text
    clerk.post("/replays", clerk.form("/replays/confirm", wish="stop", number=number))
    until(lambda: "Stopped" in clerk.page(to).text, "it heeds that")
    assert clerk.states("sent") == {"replaying": 1, "open": 2}
    clerk.place.rows("UPDATE dead_letter_replays SET rate = NULL WHERE id = %s", number)
    assert clerk.post("/replays", clerk.form("/replays/confirm", wish="run", number=number)) == to
    until(lambda: "Done" in clerk.page(to).text, "it goes on where it stopped")
    assert clerk.place.messages("ingest.actions") == 3
    events = "SELECT count(*), min(who) FROM dead_letter_events WHERE what = 'replayed' AND replay = %s"
    assert clerk.place.rows(events, number) == [(3, getpass.getuser())]
    assert "is done" in clerk.post("/replays", clerk.form("/replays/confirm", wish="run", number=number), 409)


def test_a_replay_outlives_the_console_that_began_it(clerk: Clerk) -> None:
    """It is not even interrupted when the console is killed: who looks from elsewhere finds it at work."""
    clerk.put("outliving", 3)
    process = LoggingProcess("console", env=clerk.place.environment(console_listen="127.0.0.1:0"), new_session=True)
    url = until(lambda: process.events("listening"), "the console listens")[0]["url"]
    wanted = {"organization": "outliving", "accepts": "all", "rate": "1"}
    with httpx.Client(base_url=url, trust_env=False, timeout=LONG, headers=OWN) as client:
        seen = Tags(client.get("/replays/new", params=wanted).text)
        to = client.post("/replays/new", data=seen.form).headers["location"]
    os.killpg(process.process.pid, signal.SIGKILL)
    process.stop()
    assert "Running" in clerk.page(to).text
    until(lambda: "Done" in clerk.page(to).text, "it goes on")
    assert clerk.states("outliving") == {"replaying": 3}


def test_a_preview_says_how_many_would_pass_and_takes_no_nonsense(clerk: Clerk) -> None:
    """By the console's role the judge tells of each."""
    clerk.put("mixed", 2)
    clerk.put("mixed", 1, payload=unfixable())
    seen = clerk.page("/replays/new", organization="mixed").words
    assert "0 would now pass, 3 would be refused again" in seen
    for wrong in ({"rate": "0"}, {"rate": "1e5"}, {"until_failures": "0"}, {"accepts": "some"}, {"name": "x" * 201}):
        clerk.page("/replays/new", 400, organization="mixed", **wrong)


def test_who_may_look_changes_nothing(clerk: Clerk, tmp_path: Path) -> None:
    """No page offers it, and each form, page and file of a change answers 403."""
    [number] = clerk.put("looked", 1)
    secret, line = tokens.new("looker", "look")
    file = tmp_path / "tokens"
    file.write_text(line)
    url = "https://ingest.example.com"
    asking = machine(tmp_path, database_url=lesser(clerk.place.database_url), console_url=url, tokens_file=str(file))
    with console(asking) as client:
        own = {**OWN, "cookie": ""}
        login = Tags(client.get("/login").text).form
        cookie = client.post("/login", data=login | {"token": secret}, headers=own).headers["set-cookie"]
        own["cookie"] = cookie.partition(";")[0]
        client.cookies.clear()
        page = client.get(f"/letters/{number}", headers=own)
        form = Tags(page.text).form
        assert (page.status_code, "Discard…" in page.text, "form" in form) == (200, False, True)
        for path in ("/letters/confirm?verb=park", "/letters/note?fingerprint=x", "/letters/export", "/replays/new",
                     "/letters/patch", f"/letters/{number}/edit"):  # fmt: skip
            assert client.get(path, headers=own).status_code == 403, path
        sent = form | {
            "verb": "discard",
            "counted": "1",
            "organization": "looked",
            "fingerprint": "looked",
            "text": "x",
        }
        for path in {**CHANGES, **CHECKS}:
            if path == "/letters/judge":
                continue
            assert client.post(path, data=sent, headers=own).status_code == 403, path
        assert "may look" in client.post("/letters/judge", data=sent, headers=own).json()["text"]
    assert clerk.states("looked") == {"open": 1}


def test_a_letter_is_edited_as_it_was_seen_to_differ(clerk: Clerk) -> None:
    """The judge's word while somebody types, the difference, then the save: with who and why; what was not shown stays,
    and nobody overwrites what another has saved meanwhile."""
    body = json.loads(fixable()) | {"data": {"password": SECRET, "name": "x\u202e"}}
    [number] = clerk.put("edited", 1, payload=json.dumps(body).encode())
    page = clerk.page(f"/letters/{number}/edit")
    assert SECRET not in page.text
    assert '"password": "[redacted]"' in page.text
    assert "\\u202e" in page.text
    sent = page.form | {"body": page.typed["body"].replace('"key"', '"node"').replace("\n", "\r\n")}
    word = clerk.http.post("/letters/judge", data=sent).json()
    assert "this role may not try" in word["text"]
    assert clerk.http.post("/letters/judge", data=sent | {"body": "{"}).json()["passes"] is False
    assert clerk.http.post("/letters/judge", data=page.form | page.typed).json() == {
        "passes": None, "text": "not changed",
    }  # fmt: skip
    seen = Tags(clerk.http.post("/letters/check", data=sent | {"organization": "acme"}).text)
    assert '-  "entity_type": "key",' in seen.text
    assert '+  "entity_type": "node",' in seen.text
    assert "− nothing + acme" in seen.words
    edited = "SELECT edited_payload, edited_envelope FROM dead_letters WHERE id = %s"
    assert clerk.place.rows(edited, number) == [(None, None)]
    save = seen.form | seen.typed | {"why": "<i>a node</i>"}
    assert "tick “anyway”" in clerk.post("/letters/save", save, 409)
    assert clerk.post("/letters/save", save | {"anyway": "yes"}) == f"/letters/{number}"
    [(payload, envelope)] = clerk.place.rows(edited, number)
    assert json.loads(payload) == body | {"entity_type": "node"}
    assert envelope == {"organization": "acme"}
    assert "somebody else has edited" in clerk.post("/letters/save", save | {"anyway": "yes"}, 409)
    shown = clerk.page(f"/letters/{number}")
    assert f"edited by {getpass.getuser()}: <i>a node</i>" in shown.words
    assert SECRET not in shown.text
    undoing = clerk.page(f"/letters/{number}/edit")
    assert '+  "entity_type": "key",' in undoing.text
    assert "− acme + nothing" in undoing.words
    assert SECRET not in undoing.text
    assert clerk.post("/letters/revert", undoing.form | {"why": "no"}) == f"/letters/{number}"
    assert clerk.place.rows(edited, number) == [(None, None)]
    base = clerk.page(f"/letters/{number}/edit").form
    for wrong in ({"kind": "x"}, {"letter": "x"}, {"letter": "９"}, {"node": "a\u202e"}):
        clerk.post("/letters/check", base | page.typed | wrong, 400)
    clerk.place.rows("UPDATE dead_letters SET state = 'discarded' WHERE id = %s", number)
    assert "only open and parked ones" in clerk.post("/letters/check", base | page.typed, 409)
    assert "Edit…" not in clerk.page(f"/letters/{number}").text


def test_a_body_too_large_for_a_page_is_edited_by_the_command(clerk: Clerk) -> None:
    """The page says so; a form larger than any of ours is not read to its end."""
    [number] = clerk.put("large", 1, payload=b'{"a": "' + b"x" * 300_000 + b'"}')
    assert f"chef-ingest dead edit {number}" in clerk.page(f"/letters/{number}/edit", 409).text
    assert "no more than" in clerk.post("/letters/check", {"body": "x" * 1_100_000}, 413)


def test_many_letters_are_edited_alike_as_it_was_seen(clerk: Clerk) -> None:
    """By a patch and a fact of the envelope: what it makes of each is told, what can't be patched stays as it is."""
    clerk.put("alike", 2)
    clerk.put("alike", 1, payload=b"no JSON")
    patch = '[{"op": "replace", "path": "/entity_type", "value": "node"}]'
    asked = clerk.form("/letters/patch", organization="alike") | {"set_organization": "acme", "patch": patch}
    page = clerk.http.post("/letters/patched", data=asked)
    seen = Tags(page.text)
    assert "0 of 3 letters would be saved; the others, of which 2 are not known to pass then" in seen.words
    assert "its payload is no JSON to patch" in seen.text
    edited = "SELECT count(*) FROM dead_letters WHERE organization = 'alike' AND edited_envelope IS NOT NULL"
    assert clerk.place.one(edited) == 0
    save = seen.form | {"anyway": "yes", "why": "a node now"}
    assert "other letters than you saw" in clerk.post("/letters/patch", save | {"counted": "2"}, 409)
    assert clerk.post("/letters/patch", save) == "/letters?organization=alike"
    assert clerk.place.one(edited) == 2
    why = "SELECT DISTINCT what, who, why FROM dead_letter_events WHERE why = 'a node now'"
    assert clerk.place.rows(why) == [("edited", getpass.getuser(), "a node now")]
    assert "other letters than you saw" in clerk.post("/letters/patch", save, 409)
    for wrong in ({"patch": "{}"}, {"patch": "["}, {"patch": "", "set_organization": ""}, {"set_kind": "x"}):
        clerk.post("/letters/patched", asked | wrong, 400)
