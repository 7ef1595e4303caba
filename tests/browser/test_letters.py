"""What an operator does about letters in a browser: edits one and sends it, parks and gives up many, leaves a note."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from browsing import Visitor, visiting
from console_support import console, machine
from operate_support import actions, consuming, declared, environment, publishing
from playwright.sync_api import Browser, Page, expect

from ingest.soak.system import until
from tests.patience import LONG

expect.set_options(timeout=1000 * LONG)

GOOD, BAD = "2026-11-22T01:02:03Z", "yesterday"
"""Times of an action: one that is stored, and one that makes a letter of it."""


class LetterStack(NamedTuple):
    """A worker that makes letters, and a console by a role that may store, so that the judge can tell of each."""

    amqp_url: str
    owner_url: str
    console_url: str

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            return connection.execute(sql.encode(), values).fetchall()

    def put(self, many: int) -> str:
        """So many letters of an organization of their own; its name."""
        name = f"o{uuid.uuid4().hex[:8]}"
        with publishing(self.amqp_url) as publisher:
            for action in actions(many):
                publisher.publish(action | {"organization_name": name, "recorded_at": BAD})
        until(lambda: self.states(name) == {"open": many}, "the letters are there")
        return name

    def states(self, name: str) -> dict[str, int]:
        return dict(self.rows("SELECT state, count(*) FROM dead_letters WHERE organization = %s GROUP BY 1", name))

    def numbers(self, name: str) -> list[int]:
        """Of an organization's letters, the oldest first."""
        return [row[0] for row in self.rows("SELECT id FROM dead_letters WHERE organization = %s ORDER BY 1", name)]


@pytest.fixture(scope="module")
def stack(databases: Any, vhost_pool: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LetterStack]:
    owner_url, amqp_url = databases.create(migrated=True), vhost_pool.take()
    declared(amqp_url)
    state = tmp_path_factory.mktemp("state")
    with (
        consuming(environment(amqp_url, owner_url, state) | {"INGEST_METRICS_LISTEN": "127.0.0.1:0"}, "-n", "1"),
        console(machine(state, database_url=owner_url, amqp_url=amqp_url)) as client,
    ):
        yield LetterStack(amqp_url, owner_url, str(client.base_url).rstrip("/"))
    vhost_pool.give_back(amqp_url)
    databases.drop(owner_url)


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def visitor(scripts: bool, browser: Browser, stack: LetterStack) -> Iterator[Visitor]:
    """Who comes with and without JavaScript, and is content in the end."""
    with visiting(browser, stack.console_url, java_script_enabled=scripts) as visitor:
        yield visitor
        assert visitor.said == []


def type_and_check(page: Page, body: str) -> None:
    """From the form to what would be saved."""
    page.get_by_label("Body").fill(body)
    page.get_by_role("button", name="Check").click()
    differing = page.get_by_role("region", name="What differs in the body")
    expect(differing.locator(".gone")).to_contain_text(BAD)
    expect(differing.locator(".added")).to_contain_text(GOOD)


def test_an_edited_letter_is_judged_while_typed_and_sent_by_a_replay_begun_here(
    stack: LetterStack, visitor: Visitor, scripts: bool
) -> None:
    """Nothing is saved before it was seen to differ; a revert sends again what was received; the replay sends only what
    would pass, and its page follows it by itself until it is done."""
    name = stack.put(2)
    first, second = stack.numbers(name)
    edited = "SELECT id FROM dead_letters WHERE organization = %s AND edited_payload IS NOT NULL ORDER BY id"
    for number in (first, second):
        page = visitor.open(f"/letters/{number}")
        page.get_by_role("link", name="Edit…").click()
        area = page.get_by_label("Body")
        received = area.input_value()
        assert received.count(BAD) == 1
        if scripts:
            area.fill(received.replace(BAD, "tomorrow"))
            expect(page.locator("#word.bad")).to_contain_text("tomorrow")
            area.fill(received.replace(BAD, GOOD))
            expect(page.locator("#word.good")).to_be_visible()
        type_and_check(page, received.replace(BAD, GOOD))
        assert (number,) not in stack.rows(edited, name)
        page.locator("form[action='/letters/save']").get_by_label("Why").fill("<b>its clock</b>")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="Body, as edited")).to_be_visible()
        expect(page.locator(".history li", has_text="edited by")).to_contain_text("<b>its clock</b>")
    assert stack.rows(edited, name) == [(first,), (second,)]

    page.get_by_role("link", name="Edit…").click()
    undone = page.get_by_role("region", name="What a revert changes in the body")
    expect(undone.locator(".gone")).to_contain_text(GOOD)
    expect(undone.locator(".added")).to_contain_text(BAD)
    back = page.locator("form[action='/letters/revert']")
    back.get_by_label("Why").fill("<i>no</i>")
    back.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Body", exact=True)).to_be_visible()
    expect(page.locator(".history li", has_text="<i>no</i>")).to_have_count(1)
    assert stack.rows(edited, name) == [(first,)]

    page = visitor.open(f"/letters?organization={name}")
    expect(page.get_by_role("cell", name="open, edited")).to_have_count(1)
    page.get_by_role("link", name="Replay…").click()
    for accepts, sent in (("all, those too that would be refused again", 2), ("only those that would pass now", 1)):
        page.get_by_label("Send").select_option(label=accepts)
        page.get_by_label("Name").fill("<b>knife</b>")
        page.get_by_role("button", name="Look again").click()
        expect(page.get_by_role("status")).to_contain_text(f"{sent} of 2 letters would be sent")
    page.get_by_label("Why").fill("<i>edited</i>")
    with psycopg.connect(stack.owner_url) as held:
        held.execute("LOCK TABLE actions IN SHARE MODE")
        page.get_by_role("button", name="Begin the replay").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("“<b>knife</b>”")
        expect(page.get_by_role("status")).not_to_contain_text("Done")
        if scripts:
            page.evaluate("window.untouched = true")
    if scripts:
        expect(page.get_by_role("status")).to_contain_text("Done")
        assert page.evaluate("window.untouched")
    else:
        until(lambda: page.reload() and "Done" in page.get_by_role("status").inner_text(), "it is done")
    assert stack.states(name) == {"resolved": 1, "open": 1}
    page = visitor.open(f"/letters/{first}")
    expect(page.locator(".history li", has_text="resolved by")).to_have_count(1)
    assert stack.rows("SELECT recorded_at::text ^@ '2026-11-22' FROM actions WHERE organization_name = %s", name) == [
        (True,)
    ]


def test_letters_are_parked_taken_back_and_given_up_as_they_were_seen(stack: LetterStack, visitor: Visitor) -> None:
    """More than a hundred only by who types how many: the page lets no other number through, and who gets around that
    is refused."""
    name = stack.put(101)
    page = visitor.open(f"/letters?organization={name}")
    page.get_by_role("link", name="Park…", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Park 101 letters?")
    expect(page.get_by_role("group", name="Why they are letters")).to_contain_text(BAD)
    page.get_by_label("Why", exact=True).fill("<b>later</b>")
    typed, button = page.get_by_label("Type 101"), page.get_by_role("button", name="Park", exact=True)
    for wrong in ("", "100"):
        typed.fill(wrong)
        button.click()
        expect(typed).to_be_focused()
        expect(page.get_by_role("heading", level=1)).to_have_text("Park 101 letters?")
    typed.evaluate("(each) => { each.form.noValidate = true; }")
    with page.expect_response("**/letters") as answer:
        button.click()
    assert answer.value.status == 400
    expect(page.get_by_role("alert")).to_contain_text("type 101")
    assert stack.states(name) == {"open": 101}
    page = visitor.open(f"/letters/confirm?verb=park&organization={name}")
    page.get_by_label("Why", exact=True).fill("<b>later</b>")
    page.get_by_label("Type 101").fill("101")
    page.get_by_role("button", name="Park").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Letters")
    assert stack.states(name) == {"parked": 101}

    number = stack.numbers(name)[0]
    page = visitor.open(f"/letters/{number}")
    for verb, event, states in (
        ("Unpark", "unparked", {"parked": 100, "open": 1}),
        ("Discard", "discarded", {"parked": 100, "discarded": 1}),
    ):
        before = stack.states(name)
        page.get_by_role("link", name=f"{verb}…", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{verb} 1 letter?")
        page.get_by_label("Why", exact=True).fill(f"<i>{verb}</i>")
        assert stack.states(name) == before
        page.get_by_role("button", name=verb).click()
        expect(page.locator(".history li", has_text=event)).to_contain_text(f"<i>{verb}</i>")
        assert stack.states(name) == states
    expect(page.locator(".history li", has_text="parked by").first).to_contain_text("<b>later</b>")


def test_a_note_is_left_on_a_card_and_letters_are_had_as_a_file(
    stack: LetterStack, visitor: Visitor, tmp_path: Path
) -> None:
    """The note is text for everybody, and goes again; the file has a line for each letter that the page is about."""
    name = stack.put(2)
    page = visitor.open(f"/letters?organization={name}")
    card = page.locator(".card")
    expect(card.locator(".note")).to_have_count(0)
    card.get_by_role("link", name="Leave a note…").click()
    page.get_by_role("textbox").fill("ask <b>the lab</b>")
    page.get_by_role("button", name="Leave the note").click()
    page = visitor.open(f"/letters?organization={name}")
    expect(card.locator(".note")).to_contain_text("ask <b>the lab</b>")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert download.value.suggested_filename == "letters.ndjson"
    download.value.save_as(tmp_path / "letters")
    lines = [json.loads(line) for line in (tmp_path / "letters").read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == stack.numbers(name)
    card.get_by_role("link", name="Change the note…").click()
    page.get_by_role("textbox").fill("")
    page.get_by_role("button", name="Leave the note").click()
    page = visitor.open(f"/letters?organization={name}")
    expect(card.get_by_role("link", name="Leave a note…")).to_be_visible()
