"""The console over a real database, by a role that may only read, and as the process that an operator starts."""

from __future__ import annotations

import getpass
import html
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from console_seeded import ACTION, REPLAY, RUN, SECRET, lesser, paths, seed
from console_support import NOBODY, Tags, console, machine
from logging_process import LoggingProcess
from operate_support import command
from psycopg.types.json import Json

from consumers.dead_letters.replays.register import LOCK_SPACE
from ingest.soak.system import until
from tests.patience import LONG

HERE = Path(__file__).parent


class Seeded(NamedTuple):
    """A console by the lesser role, and the database by its owner."""

    http: httpx.Client
    owner_url: str
    letters: list[int]

    def page(self, path: str, status: int = 200) -> str:
        answer = self.http.get(path)
        assert answer.status_code == status, html.unescape(answer.text)[-3000:]
        return answer.text


@pytest.fixture(scope="module")
def seeded(databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    url = databases.create(migrated=True)
    letters = seed(url)
    with console(machine(tmp_path_factory.mktemp("state"), database_url=lesser(url))) as client:
        yield Seeded(client, url, letters)
    databases.drop(url)


def test_every_page_is_shown_and_nothing_in_it_is_anybody_elses(seeded: Seeded) -> None:
    """Strangers' text is text: no tag, no handler, no sign that hides or turns; labels and headings are there."""
    for path in paths(seeded.letters):
        page = seeded.page(path)
        tags = Tags(page)
        assert [attrs.get("src") for tag, attrs in tags.tags if tag == "script"] == ["/static/console.js"], path
        assert not [tag for tag, _ in tags.tags if tag in ("b", "i", "img", "iframe", "style", "object", "base")], path
        assert not [attrs for _, attrs in tags.tags if any(name.startswith("on") or name == "style" for name in attrs)]
        assert not set(page) & set("\u202e\x00\x1b"), path
        assert [tag for tag, _ in tags.tags].count("h1") == [tag for tag, _ in tags.tags].count("main") == 1
        ids = [attrs["id"] for _, attrs in tags.tags if "id" in attrs]
        assert len(ids) == len(set(ids)), path
        labelled = {attrs.get("for") for tag, attrs in tags.tags if tag == "label"}
        inputs = [attrs for tag, attrs in tags.tags if tag in ("input", "select") and attrs.get("type") != "hidden"]
        assert all(attrs["id"] in labelled for attrs in inputs), path
        named = " ".join(attrs.get("aria-labelledby") or "" for _, attrs in tags.tags).split()
        assert set(named) <= set(ids), path


def test_every_link_of_every_page_leads_somewhere(seeded: Seeded) -> None:
    """To a page of ours that is there; none leads elsewhere. Of those alike but for what they name, one is followed."""
    seen: dict[str, str] = {}
    for path in paths(seeded.letters):
        for tag, attrs in Tags(seeded.page(path)).tags:
            to = attrs.get("href") or ""
            if tag != "a" or to.startswith("#"):
                continue
            assert to.startswith(("/", "?")), to
            url = str(seeded.http.build_request("GET", path).url.join(to)).partition("#")[0]
            seen.setdefault(re.sub(r"(?<=/letters/)[0-9]+|(?<=[?&])(?!verb|wish)(\w+=)[^&]*", r"\1", url), url)
    assert len(seen) > 40
    for each in seen.values():
        assert seeded.http.get(each).status_code == 200, each


def test_a_letter_says_why_and_marks_what_was_refused(seeded: Seeded) -> None:
    """The member by which it failed, what it would be now, its history; a secret is not shown."""
    page = seeded.page(f"/letters/{seeded.letters[0]}")
    assert re.findall(r"<mark>(.*?)</mark>", page) == ["  &#34;recorded_at&#34;: &#34;never&#34;,"]
    text = Tags(page).text
    assert "still refused: " in text
    assert "is no time" in text
    assert "evil\\u202e\\u0000" in text
    assert SECRET not in text
    assert text.count("[redacted]") == 2
    assert "opened by worker: <i>" in " ".join(text.split())


def test_a_letter_is_foreseen_by_the_judge_where_the_role_may_not_try(seeded: Seeded, tmp_path: Path) -> None:
    """By a role that may, a conflict names what differs from the stored row."""
    path = f"/letters/{seeded.letters[1]}"
    assert "this role may not try" in Tags(seeded.page(path)).text
    with console(machine(tmp_path, database_url=seeded.owner_url)) as client:
        text = Tags(client.get(path).text).text
    assert "What differs from the stored row" in text
    assert "entity_type" in text


def test_a_large_body_is_cut_and_a_body_that_is_none_is_shown(seeded: Seeded) -> None:
    """The page stays small."""
    page = seeded.page(f"/letters/{seeded.letters[3]}")
    assert "2100009 bytes as sent" in page
    assert len(page) < 4_000_000
    assert "onerror=alert(1)" in Tags(seeded.page(f"/letters/{seeded.letters[2]}")).text


def test_letters_of_a_cause_lead_to_one_another(seeded: Seeded) -> None:
    """Older and newer; a page of none is a page."""
    first, last = seeded.letters[0], seeded.letters[4]
    assert f'href="/letters/{last}" rel="next"' in seeded.page(f"/letters/{first}")
    assert f'href="/letters/{first}" rel="prev"' in seeded.page(f"/letters/{last}")
    assert "2 letters" in seeded.page("/letters")
    assert "No letter is like this" in seeded.page("/letters?organization=nobody")


def test_a_failed_run_shows_who_changed_what_before_it(seeded: Seeded) -> None:
    """What is in its run list or is its node is marked; its own actions are told from it."""
    page = seeded.page(f"/runs/{RUN}")
    before = page[page.index('id="before"') : page.index('id="resources"')]
    rows = [row for row in before.split("<tr") if "<td>" in row]
    assert [("bears" in row, re.findall(r"<td>(\w+)</td>", row)[0]) for row in rows] == [
        (True, "db2"), (True, "rarity"), (False, "spike"),
    ]  # fmt: skip
    assert "left out 17" in " ".join(Tags(page).text.split())
    assert re.findall(r'<span class="(\w+)">', page[page.index("diff") :])[:5] == [
        "place", "place", "place", "gone", "added",
    ]  # fmt: skip


NOT_THERE = (
    "/letters/999999",
    "/letters/99999999999999999999",
    "/runs/x",
    "/runs/" + ACTION,
    "/actions/%00",
    "/none",
    "/letters/x",
)
SENSELESS = (
    "/runs?status=well", "/runs?since=yesterday", "/runs?after=x", "/letters?after=-1", "/letters?state=x",
    "/runs?since=1h&since=2h", "/actions?entity=%00", "/actions?entity=%ff", "/nodes?missing=x",
    "/runs?since=1h&until=2h", f"/runs/{RUN}?hours=x",
)  # fmt: skip


@pytest.mark.parametrize(("paths", "status"), [(NOT_THERE, 404), (SENSELESS, 400)], ids=["not there", "senseless"])
def test_what_is_not_there_or_makes_no_sense_is_a_page_that_says_so(
    seeded: Seeded, paths: tuple[str, ...], status: int
) -> None:
    """With words, and the way to the other pages."""
    for path in paths:
        page = seeded.page(path, status)
        assert 'role="alert"' in page, path
        assert 'href="/runs"' in page


def test_looking_changes_nothing_and_the_role_could_not(seeded: Seeded) -> None:
    """Every page, then a look at the tables; and what the role may not do."""
    counts = (
        "SELECT (SELECT count(*) FROM dead_letters WHERE state = 'open'), (SELECT count(*) FROM dead_letter_events)"
    )
    with psycopg.connect(seeded.owner_url, autocommit=True) as connection:
        before = connection.execute(counts).fetchall()
        for path in paths(seeded.letters):
            seeded.page(path)
        assert connection.execute(counts).fetchall() == before
    with psycopg.connect(lesser(seeded.owner_url), autocommit=True) as connection:
        for forbidden in ("DELETE FROM runs", "UPDATE dead_letters SET attempts = 0", "CREATE TABLE x (y int)",
                          "UPDATE dead_letters SET payload = ''", "DELETE FROM dead_letter_replays",
                          "INSERT INTO actions SELECT * FROM actions", "UPDATE tallies SET count = 0"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


def test_nobody_is_told_to_give_the_consoles_role_a_workers_rights(seeded: Seeded) -> None:
    """It may lack them: that is no finding of the doctor's on its page."""
    page = seeded.page("/health")
    assert "every migration is applied" in page
    assert "lacks" not in page
    assert "GRANT" not in page


def test_the_overview_knows_all_machines_and_what_is_paused(seeded: Seeded, tmp_path: Path) -> None:
    """A pause is never nothing wrong; who paused it and why is text, as all that strangers say."""
    said = {"mode": "running", "wanted": 2, "rate": 3.5, "version": "1", "workers": []}
    with psycopg.connect(seeded.owner_url, autocommit=True) as connection:
        connection.execute("INSERT INTO pauses VALUES ('ingest.runs', 'web1', 'ann', '<b>a new disk</b>', now())")
        connection.execute("INSERT INTO supervisors (host, folder, said) VALUES ('web2', '/run', %s)", [Json(said)])
        with console(machine(tmp_path, database_url=lesser(seeded.owner_url))) as client:
            page = client.get("/").text
        connection.execute("DELETE FROM pauses")
        connection.execute("DELETE FROM supervisors")
    shown = Tags(page)
    assert "<b>a new disk</b>" in shown.text
    assert "b" not in [tag for tag, _ in shown.tags]
    assert "chef-ingest resume ingest.runs --host web1" in shown.text
    assert "Nothing is wrong" not in page
    assert "web2" in page


def test_an_operator_pauses_and_resumes_after_seeing_what_that_does(seeded: Seeded, tmp_path: Path) -> None:
    """A form leads to a page that says it, and that page's form does it, with who and why; nothing is done before, and
    a machine that nobody knows is not scaled."""
    rows = "SELECT queue, host, who, why FROM pauses"
    own = {"sec-fetch-site": "same-origin", "origin": "null"}
    with (
        psycopg.connect(seeded.owner_url, autocommit=True) as connection,
        console(machine(tmp_path, database_url=lesser(seeded.owner_url)), **own) as client,
    ):

        def confirmed(**wanted: str) -> dict[str, str | None]:
            page = client.get("/workers/confirm", params=wanted)
            assert page.status_code == 200, page.text
            inputs = [attrs for tag, attrs in Tags(page.text).tags if tag == "input"]
            return {str(attrs["name"]): attrs["value"] for attrs in inputs}

        sent = confirmed(verb="pause", queue="ingest.runs", host="all", why="<i>disk</i>")
        assert connection.execute(rows).fetchall() == []
        done = client.post("/workers", data=sent)
        assert (done.status_code, done.headers["location"]) == (303, "/workers")
        who = getpass.getuser()
        assert connection.execute(rows).fetchall() == [("ingest.runs", "", who, "<i>disk</i>")]
        assert "&lt;i&gt;disk&lt;/i&gt;" in client.get("/workers").text
        assert client.post("/workers", data=confirmed(verb="resume", queue="ingest.runs")).status_code == 303
        assert connection.execute(rows).fetchall() == []
        unknown = client.post("/workers", data=confirmed(verb="scale", host="nowhere", to="2"))
        assert (unknown.status_code, "nothing was done" in unknown.text) == (409, True)
        for wrong in ({"verb": "pause", "queue": "all"}, {"verb": "pause", "queue": "x", "why": "y"}, {"verb": "drop"},
                      {"verb": "scale", "host": "x", "to": "1_0"}):  # fmt: skip
            assert client.get("/workers/confirm", params=wrong).status_code == 400


def test_a_replay_is_paused_and_stopped_from_its_page(seeded: Seeded, tmp_path: Path) -> None:
    """While a session holds it, it is asked; one that nobody carries out is stopped then and there, and one that is
    over can be told nothing more. Who and why are kept."""
    own = {"sec-fetch-site": "same-origin", "origin": "null"}
    wanted = "SELECT wanted, wanted_by, wanted_why, state FROM dead_letter_replays WHERE id = %s"
    with (
        psycopg.connect(seeded.owner_url, autocommit=True) as connection,
        console(machine(tmp_path, database_url=lesser(seeded.owner_url)), **own) as client,
    ):
        row = connection.execute(f"{REPLAY} RETURNING id".encode()).fetchone()
        assert row is not None
        number = row[0]
        assert "Nobody carries it out" not in client.get(f"/replays/{number}").text
        assert "nobody carries it out" in client.get(f"/replays/{number}").text
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_SPACE, number))
        page = client.get(f"/replays/{number}").text
        assert "10 of 40" in page
        assert "Pause…" in page

        def confirmed(wish: str) -> httpx.Response:
            asked = client.get("/replays/confirm", params={"wish": wish, "number": number, "why": "<i>lunch</i>"})
            inputs = [attrs for tag, attrs in Tags(asked.text).tags if tag == "input"]
            return client.post("/replays", data={str(attrs["name"]): attrs["value"] for attrs in inputs})

        assert confirmed("pause").headers["location"] == f"/replays/{number}"
        who = getpass.getuser()
        assert connection.execute(wanted, [number]).fetchone() == ("pause", who, "<i>lunch</i>", "running")
        connection.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_SPACE, number))
        assert confirmed("stop").status_code == 303
        assert connection.execute(wanted, [number]).fetchone() == ("stop", who, "<i>lunch</i>", "stopped")
        assert confirmed("pause").status_code == 409
        assert client.get("/replays/confirm", params={"wish": "stop", "number": "99999"}).status_code == 404
        assert client.get("/replays/confirm", params={"wish": "stop", "number": "1_0"}).status_code == 400


def test_a_page_over_a_database_that_is_gone_is_an_honest_page(seeded: Seeded, tmp_path: Path) -> None:
    """Nobody is there, a table is locked away from it for longer than it waits, or the database is another one."""
    with console(machine(tmp_path)) as client:
        for path in ("/letters", "/runs", f"/runs/{RUN}", "/nodes", "/actions"):
            answer = client.get(path)
            assert (answer.status_code, "The database does not answer" in answer.text) == (503, True)
        assert client.get("/health").status_code == 200
    slow = machine(tmp_path, database_url=seeded.owner_url, read_timeout_seconds=0.1)
    with psycopg.connect(seeded.owner_url) as connection, console(slow) as client:
        connection.execute("LOCK TABLE runs, actions IN ACCESS EXCLUSIVE MODE")
        for path in ("/runs", "/actions"):
            answer = client.get(path)
            assert (answer.status_code, "took too long" in answer.text) == (503, True), answer.text
    elsewhere = urlsplit(seeded.owner_url)._replace(path="/postgres").geturl()
    with console(machine(tmp_path, database_url=elsewhere)) as client:
        answer = client.get("/runs")
    assert (answer.status_code, "Traceback" in answer.text) == (503, False)
    assert "not as the console needs it" in answer.text


def test_the_process_serves_a_page_and_ends_when_it_is_told(tmp_path: Path) -> None:
    """A page is there without broker and database, and says that they are not; a stream of numbers delays no end."""
    env = os.environ | NOBODY | {"INGEST_CONSOLE_LISTEN": "127.0.0.1:0", "INGEST_LISTEN": "127.0.0.1:1"}
    process = LoggingProcess("console", "--state", str(tmp_path), env=env)
    url = until(lambda: process.events("listening"), "the console listens")[0]["url"]
    with httpx.Client(base_url=url, trust_env=False, timeout=LONG) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "Database not seen" in page.text
        assert "Broker not seen" in page.text
        assert client.head("/").status_code == 200
        assert client.post("/").status_code == 403
        with client.stream("GET", "/live") as stream:
            assert next(stream.iter_lines()) == "event: numbers"
            assert process.stop(signal.SIGTERM) == 0
    looked = process.events("looked")[0]
    assert (looked["path"], looked["status"]) == ("/", 200)
    assert looked["who"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--listen", "0.0.0.0:0"), "INGEST_TOKENS_FILE"),
        (("--listen", "nowhere"), "HOST:PORT"),
        (("--listen", "127.0.0.1:1"), "INGEST_CONSOLE_LISTEN"),
    ],
)
def test_it_says_why_it_does_not_start(arguments: tuple[str, ...], word: str, tmp_path: Path) -> None:
    """With exit code 78 and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = f"127.0.0.1:{taken.getsockname()[1]}"
        given = [each.replace("127.0.0.1:1", taken_port) for each in arguments]
        done = command("console", *given, env=os.environ | NOBODY | {"INGEST_STATE": str(tmp_path)})
    assert (done.returncode, word in done.stderr, "Traceback" in done.stderr) == (78, True, False), done.stderr


def test_without_its_packages_it_says_how_to_get_them() -> None:
    """And nothing else needs them: all of the command line is there."""
    hidden = "import sys; sys.modules['jinja2'] = None; from ingest.cli import main; main()"
    argv = [sys.executable, "-c", hidden, "console"]
    done = subprocess.run(argv, env=os.environ | NOBODY, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "pip install 'chef-ingest[console]'" in done.stderr
