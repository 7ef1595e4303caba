"""What an operator does in a browser, on the real stack; live numbers, strangers, and a database that is gone."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from browsing import Visitor, visiting
from console_seeded import LETTERS, REPLAY, lesser, seed
from console_support import console, machine
from operate_support import Consumers, actions, consuming, declared, environment, publishing
from playwright.sync_api import Browser, Page, expect

from consumers.dead_letters.replays.register import LOCK_SPACE
from ingest.soak.proxy import Proxy
from ingest.soak.system import until
from tests.patience import LONG

expect.set_options(timeout=1000 * LONG)


class Stack(NamedTuple):
    """A supervisor with a worker, and the console of its machine; `proxy` stands before the console's database."""

    consumers: Consumers
    amqp_url: str
    owner_url: str
    console_url: str
    proxy: Proxy

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            return connection.execute(sql.encode(), values).fetchall()


@pytest.fixture(scope="module")
def stack(databases: Any, vhost_pool: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    owner_url, amqp_url = databases.create(migrated=True), vhost_pool.take()
    declared(amqp_url)
    seed(owner_url)
    state = tmp_path_factory.mktemp("state")
    env = environment(amqp_url, owner_url, state) | {"INGEST_METRICS_LISTEN": "127.0.0.1:0"}
    role = urlsplit(lesser(owner_url))
    with consuming(env, "-n", "1") as consumers, Proxy(role.port or 0) as proxy:
        through = role._replace(netloc=role.netloc.replace(f":{role.port}", f":{proxy.port}")).geturl()
        with console(machine(state, database_url=through, amqp_url=amqp_url)) as client:
            yield Stack(consumers, amqp_url, owner_url, str(client.base_url).rstrip("/"), proxy)
    vhost_pool.give_back(amqp_url)
    databases.drop(owner_url)


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def visitor(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Iterator[Visitor]:
    """Who comes with and without JavaScript, and is content in the end."""
    with visiting(browser, stack.console_url, java_script_enabled=request.param) as visitor:
        yield visitor
        assert visitor.said == []


@pytest.fixture
def scripted(browser: Browser, stack: Stack) -> Iterator[Visitor]:
    with visiting(browser, stack.console_url) as visitor:
        yield visitor


def test_an_operator_pauses_scales_and_resumes(stack: Stack, visitor: Visitor) -> None:
    """Each is seen before it is done, and done by the supervisor then; why it is paused is text for everybody."""
    page = visitor.open("/workers")
    page.get_by_label("Pause", exact=True).select_option("all")
    page.get_by_label("Why").fill("<b>a disk</b>")
    page.get_by_role("button", name="Pause…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pause?")
    assert stack.rows("SELECT count(*) FROM pauses") == [(0,)]
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#paused + ul")).to_contain_text("<b>a disk</b>")
    assert stack.rows("SELECT queue, why FROM pauses") == [("", "<b>a disk</b>")]
    until(lambda: not stack.consumers.pids(), "no worker consumes")

    page.get_by_role("link", name="Resume…").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_text("Nothing is paused.")).to_be_visible()
    assert stack.rows("SELECT count(*) FROM pauses") == [(0,)]
    until(stack.consumers.pids, "a worker consumes again")

    for to in ("2", "-1"):
        page.get_by_label("Workers (N, +N, -N, auto)").fill(to)
        page.get_by_role("button", name="Scale…").click()
        page.get_by_role("button", name="Scale", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Workers")
        stack.consumers.settled(2 if to == "2" else 1)


def test_an_operator_pauses_and_stops_a_replay(stack: Stack, visitor: Visitor) -> None:
    """Seen before it is done; the session that carries it out is asked."""
    [(number,)] = stack.rows(f"{REPLAY} RETURNING id")
    with psycopg.connect(stack.owner_url, autocommit=True) as held:
        held.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_SPACE, number))
        page = visitor.open("/replays")
        page.get_by_role("link", name=str(number), exact=True).click()
        for verb in ("Pause", "Stop"):
            asking = page.locator("form", has=page.get_by_role("button", name=f"{verb}…"))
            asking.get_by_label("Why").fill(f"<i>{verb}</i>")
            asking.get_by_role("button").click()
            page.get_by_role("button", name=verb, exact=True).click()
            expect(page.get_by_text(f"<i>{verb}</i>")).to_be_visible()
            wanted = "SELECT wanted, wanted_why FROM dead_letter_replays WHERE id = %s"
            assert stack.rows(wanted, number) == [(verb.lower(), f"<i>{verb}</i>")]


def test_the_pages_lead_to_one_another(visitor: Visitor) -> None:
    """From a cause to a letter, and to the next one of its cause; from a failed run to who changed what before it."""
    page = visitor.open("/")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Letters").click()
    page.locator(".cards").get_by_role("link", name="2 letters").click()
    page.get_by_role("table").get_by_role("link").first.click()
    page.get_by_role("link", name="Older of this cause").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Letter 1")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Runs").click()
    page.get_by_label("Status").select_option("failure")
    page.get_by_label("Node").fill("db2")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("table").get_by_role("link").first.click()
    page.locator("tr.bears").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Data")).to_be_visible()


def test_a_keyboard_is_enough(scripted: Visitor) -> None:
    """The first key leads past the navigation, and the forms are sent by Enter."""
    page = scripted.open("/workers")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    expect(page.locator(":focus")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Pause", exact=True)).to_be_focused()
    for key in ("Tab", "Tab", "x", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", level=1)).to_have_text("Pause?")


def test_numbers_change_on_an_open_page(stack: Stack, scripted: Visitor) -> None:
    """What is published while all is paused is the backlog of a page loaded before; it goes as it is stored."""
    page = scripted.open("/")
    backlog = page.locator('[data-live="backlog"]')
    expect(backlog).to_have_text("0")
    page.evaluate("window.untouched = true")
    stack.rows("INSERT INTO pauses VALUES ('', '', 'ann', 'a disk', now()) RETURNING queue")
    until(lambda: not stack.consumers.pids(), "no worker consumes")
    with publishing(stack.amqp_url) as publisher:
        for action in actions(3):
            publisher.publish(action)
    expect(backlog).to_have_text("3")
    stack.rows("DELETE FROM pauses RETURNING queue")
    expect(backlog).to_have_text("0")
    assert page.evaluate("window.untouched")
    assert scripted.said == []


def test_a_database_that_is_gone_is_told_on_the_open_page_and_comes_back(stack: Stack, scripted: Visitor) -> None:
    """Killed under a page that is open: what it can no longer know is a dash, the next page says what is wrong, and
    both are well again as soon as the database is."""
    page = scripted.open("/")
    letters = page.locator('[data-live="letters open"]')
    expect(letters).to_have_text(str(len(LETTERS)))
    stack.proxy.set(refuse=True)
    stack.proxy.cut()
    expect(letters).to_have_text("–")
    expect(page.get_by_role("alert")).to_contain_text("Database not seen")
    assert scripted.said == []
    other = scripted.look(scripted.context.new_page())
    other.goto(stack.console_url + "/letters")
    expect(other.get_by_role("alert")).to_contain_text("The database does not answer")
    stack.proxy.set()
    expect(page.get_by_text("not seen")).to_have_count(0)
    expect(letters).to_have_text(str(len(LETTERS)))
    other.get_by_role("link", name="Load this page again").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Letters")


def shown(page: Page) -> str:
    """The body of a letter, as its text stands there."""
    return str(page.locator("pre.body").evaluate("(each) => each.textContent")).rstrip("\n")


def test_hostile_bodies_are_their_own_bytes_and_nothing_else(stack: Stack, scripted: Visitor) -> None:
    """Scripts, handlers, U+202E, NUL, two megabytes: no dialog, nothing printed, nothing refused by the policy, and
    what stands there is what was sent, escaped: of JSON the same values, of what is none the same bytes."""
    plain = 0
    for number, (_, _, _, payload) in enumerate(LETTERS, 1):
        text = shown(scripted.open(f"/letters/{number}"))
        assert scripted.said == []
        assert not set(text) & set("\u202e\u0000")
        try:
            sent = json.loads(payload)
        except ValueError:
            assert text.encode().decode("unicode_escape").encode("latin-1") == payload
            plain += 1
            continue
        if len(payload) > 1_000_000:
            assert re.sub(r"\s", "", text).startswith(re.sub(rb"\s", b"", payload)[:100_000].decode())
            continue
        assert json.loads(text) == redacted(sent)
    assert plain == 1


def redacted(sent: Any) -> Any:
    if isinstance(sent, dict):
        return {
            name: "[redacted]" if name in ("password", "token") else redacted(value) for name, value in sent.items()
        }
    return sent


@contextmanager
def elsewhere(page: str) -> Iterator[str]:
    """The page of a stranger, on another site; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        log_message: Callable[..., None] = lambda *_: None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def test_the_page_of_another_site_can_do_nothing(stack: Stack, scripted: Visitor) -> None:
    """Its form is refused and does nothing, even with a token that the console gave; it can't frame the console or read
    from it; a link from it is a link."""
    token = scripted.open("/workers/confirm?verb=pause&queue=all&host=all&why=x").locator('input[name="form"]')
    fields = {
        "form": token.get_attribute("value"),
        "verb": "pause",
        "queue": "all",
        "host": "all",
        "to": "",
        "why": "x",
    }
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields.items())
    url = stack.console_url
    with elsewhere(
        f'<form method="post" action="{url}/workers">{inputs}<button>Win a prize</button></form>'
        f'<iframe src="{url}/workers"></iframe><a href="{url}/runs">Runs</a>'
    ) as stranger:
        page = scripted.page
        page.goto(stranger)
        assert page.frames[1].evaluate("document.querySelector('main')") is None
        read = page.evaluate("(url) => fetch(url).then((got) => got.text(), () => 'refused')", f"{url}/letters/1")
        assert read == "refused"
        page.get_by_role("link", name="Runs").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
        page.goto(stranger)
        with page.expect_response(f"{url}/workers") as answer:
            page.get_by_role("button").click()
        assert answer.value.status == 403
    assert "not the console's own" in page.locator("body").inner_text()
    assert stack.rows("SELECT count(*) FROM pauses") == [(0,)]


def test_what_a_page_may_not_do_is_seen_here(scripted: Visitor) -> None:
    """These tests would notice: a script or a style put into a page is refused by its policy, and that is printed."""
    page = scripted.open("/")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\" onclick=\"alert(1)\">x</p>')")
    page.get_by_text("x", exact=True).click()
    page.evaluate("alert(1)")
    said = "\n".join(scripted.said)
    assert "style" in said
    assert "a dialog: 1" in said
    assert said.count("Content Security Policy") >= 2
