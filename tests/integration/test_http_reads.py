"""What is read over HTTP, from a real PostgreSQL: by knife's own requests, page by page, by whom it may be read."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_support import OWN, Shim, answering, declare_topology, serving
from signed_requests import new_key, sign

from consumers.database import statements
from ingest.access import tokens
from ingest.reads import asked
from ingest.reads.database import Database, ReadTooLong
from schemas.kinds.action import ActionRow
from schemas.labels import RUN_STATUSES
from tests import looking

PROTOCOL = {"x-ops-reporting-protocol-version": "0.1.0", "accept": "application/json"}
ID = "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
RUN_ID = "562c4230-1569-4003-a81f-8c0100231d65"
ABORTED = "11111111-1569-4003-a81f-8c0100231d65"
REPORTS = "/organizations/acme/reports"
RUNS = f"{REPORTS}/nodes/web1/runs"
FROM, UNTIL = 1_761_955_200, 1_764_547_200
"""November 2025."""
DATA = '{"name": "app1", "name": "twice", "big": 123456789012345678901234567890, "nul": "\\u0000"}'
SEED = Path(__file__).parent / "reads_seed.sql"


class Library(NamedTuple):
    """A shim over seeded tables; `http` reads whatever it likes, users and clients sign."""

    shim: Shim
    http: httpx.Client
    database_url: str
    keys: dict[str, RSAPrivateKey]

    def signed(self, user: str, method: str, target: str, **headers: str) -> httpx.Response:
        """A request as knife sends it: what is signed is the path alone."""
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        path = target.partition("?")[0]
        request = sign(self.keys[user], "1.3", method, path, b"", user=user.rpartition("/")[2], time=at)
        return self.shim.http.request(method, target, headers=request.headers | headers)

    def rows(self, statement: str) -> list[Any]:
        return looking.rows(self.database_url, statement)


@pytest.fixture(scope="module")
def library(databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """No broker is there: a read needs none."""
    folder, database_url = tmp_path_factory.mktemp("reads"), databases.create(migrated=True)
    with psycopg.connect(database_url) as connection:
        connection.execute(SEED.read_bytes())
    secret, line = tokens.new("reader", "read")
    (folder / "tokens").write_text(line)
    keys = {}
    for name in ("rarity", "acme/web1", "acme/users/spike", "umbrella/users/spike", "acme/users/gone"):
        path = folder / "keys" / f"{name}.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        # One key a person, in whatever organization.
        key = keys.setdefault(name if name == "acme/web1" else name.rpartition("/")[2], new_key())
        path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = {"auth": "any", "client_keys": folder / "keys", "tokens_file": folder / "tokens"}
    try:
        with serving("amqp://127.0.0.1:1/x", database_url, connected=False, **settings) as shim:
            shim.http.headers["accept"] = "application/json"
            reader = httpx.Client(
                base_url=shim.url, timeout=60, trust_env=False, headers={"authorization": f"Bearer {secret}"}
            )
            with reader:
                yield Library(shim, reader, database_url, keys)
    finally:
        databases.drop(database_url)


def pages(library: Library, target: str) -> Iterator[Any]:
    """Every page from this one on, by the links."""
    while target:
        answer = library.http.get(target)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        target = answer.links.get("next", {}).get("url", "")


def test_an_action_is_read_as_it_was_sent_and_with_what_analytics_adds(library: Library) -> None:
    """Its data to the letter, by its id in either case; in our own form nothing is beside what was sent."""
    for path in (f"/actions/{ID}", f"/actions/{ID.upper()}"):
        answer = library.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        action = answer.json()
        assert (action["id"], action["recorded_at"]) == (ID, "1976-10-02T05:00:37Z")
        assert action["data"]["big"] == 123456789012345678901234567890
        assert (action["type"], action["endpoint"], action["tags"]) == ("action", f"/actions/{ID}", [])
        assert action["requestable"]["name"] == "rarity"
        assert action["entity"]["name"] == "app1"
        assert action["remote_request_id"] is None
    own = library.http.get(f"/actions/{ID}", headers=OWN)
    assert own.headers["content-type"] == OWN["accept"]
    assert own.json().keys() == action.keys() - {
        "type", "tags", "endpoint", "requestable", "entity", "remote_request_id",
    }  # fmt: skip
    assert own.text.endswith("}\n")
    assert library.http.get(f"/actions/{ID}/payload").text == DATA


def test_what_never_changes_has_an_etag(library: Library) -> None:
    """Who has it hears 304 and nothing else; a run, which may change, has none."""
    for path in (f"/actions/{ID}", f"/actions/{ID}/payload"):
        tag = library.http.get(path).headers["etag"]
        again = library.http.get(path, headers={"if-none-match": f'"other", {tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert library.http.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    assert "etag" not in library.http.get(f"{RUNS}/{RUN_ID}").headers


def test_what_is_no_stored_action_is_not_found(library: Library) -> None:
    """404, whatever it is; and of an action without data there is no payload."""
    for path in (RUN_ID, "x", ID + "0", "%00", ID[:-1] + "%0A", f"%7B{ID}%7D"):
        assert library.http.get(f"/actions/{path}").status_code == 404, path
    [(bare,)] = library.rows("SELECT id::text FROM actions WHERE data IS NULL LIMIT 1")
    assert library.http.get(f"/actions/{bare}").status_code == 200
    assert library.http.get(f"/actions/{bare}/payload").status_code == 404


def test_head_answers_as_get_does_without_the_body(library: Library) -> None:
    """Of one thing and of a list."""
    for path in (f"/actions/{ID}", f"{REPORTS}/org/runs"):
        answer = library.http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["content-length"]) == len(library.http.get(path).content)


def test_a_run_in_our_own_form_is_as_it_is_stored(library: Library) -> None:
    """With all its resources in the order they were sent."""
    answer = library.http.get(f"{RUNS}/{RUN_ID}", headers=OWN)
    assert answer.headers["content-type"] == OWN["accept"]
    run = answer.json()
    resources = run.pop("resources")
    assert run == {
        "run_id": RUN_ID,
        "organization": "acme",
        "node_name": "web1",
        "status": "success",
        "start_time": "2025-11-21T19:32:49Z",
        "end_time": "2025-11-21T19:33:00Z",
        "run_list": '["role[a]"]',
        "total_res_count": 20,
        "updated_res_count": 15,
        "data": {},
    }
    assert [each["name"] for each in resources] == [f"/etc/{number}" for number in range(15)]
    assert resources[0] == {
        "type": "file",
        "name": "/etc/0",
        "id": "id",
        "cookbook_name": None,
        "cookbook_version": None,
        "duration": "12",
        "before": {"a": None},
        "after": None,
        "delta": "+0",
        "result": "create",
    }


def test_a_run_is_found_only_as_what_it_is(library: Library) -> None:
    """Under its own organization, node and id; what is said of another one is a list, as knife prints it."""
    for path in (
        f"/organizations/other/reports/nodes/web1/runs/{RUN_ID}",
        f"/organizations/other/reports/org/runs/{RUN_ID}",
        f"{REPORTS}/nodes/web2/runs/{RUN_ID}",
        f"{REPORTS}/nodes/%00/runs/{RUN_ID}",
        f"{RUNS}/{ID}",
        f"{RUNS}/x",
        f"{RUNS}/{RUN_ID}/15",
        f"{RUNS}/{RUN_ID}/1_0",
        f"{RUNS}/{RUN_ID}/99999999999",
    ):
        answer = library.http.get(path)
        assert answer.status_code == 404, path
        assert isinstance(answer.json()["error"], list)


def runs_listed(answer: httpx.Response) -> None:
    """Newest first, ten of them."""
    found = answer.json()["run_history"]
    assert len(found) == 10
    assert found == sorted(found, key=lambda run: (run["start_time"], run["run_id"]), reverse=True)
    assert found[0].keys() == {"run_id", "node_name", "status", "start_time"}


def runs_of_node_listed(answer: httpx.Response) -> None:
    runs_listed(answer)
    assert {run["node_name"] for run in answer.json()["run_history"]} == {"web1"}


def failures_listed(answer: httpx.Response) -> None:
    assert {run["status"] for run in answer.json()["run_history"]} == {"failure"}


def aborted_listed(answer: httpx.Response) -> None:
    assert [run["run_id"] for run in answer.json()["run_history"]] == [ABORTED]


def run_shown(answer: httpx.Response) -> None:
    """The gem compares these two numbers and asks again."""
    shown = answer.json()
    assert shown["run_detail"] == {
        "node_name": "web1",
        "run_id": RUN_ID,
        "status": "success",
        "start_time": "2025-11-21T19:32:49Z",
        "end_time": "2025-11-21T19:33:00Z",
        "run_list": '["role[a]"]',
        "total_res_count": 20,
        "updated_res_count": 15,
        "data": {},
    }
    assert len(shown["run_resources"]) == 10
    first = shown["run_resources"][0]
    assert (first["id"], first["duration"], first["initial_state"]) == ("id", "12", {"a": None})


def run_shown_whole(answer: httpx.Response) -> None:
    assert [each["name"] for each in answer.json()["run_resources"]] == [f"/etc/{number}" for number in range(15)]


def aborted_shown(answer: httpx.Response) -> None:
    """The gem does sums with both counts and parses the run list, though none is known."""
    detail = answer.json()["run_detail"]
    assert (detail["status"], detail["end_time"], detail["run_list"]) == ("aborted", None, "[]")
    assert (detail["total_res_count"], detail["updated_res_count"], detail["data"]) == (0, 0, {})


def actions_listed(answer: httpx.Response) -> None:
    found = answer.json()
    assert len(found) == 25
    assert found == sorted(found, key=lambda action: (action["recorded_at"], action["id"]), reverse=True)
    assert {action["organization_name"] for action in found} == {"acme"}


def later_actions_listed(answer: httpx.Response) -> None:
    assert len(answer.json()) == 11


def action_shown(answer: httpx.Response) -> None:
    assert answer.json()["entity"]["type"] == "node"


def nothing_listed(answer: httpx.Response) -> None:
    assert answer.json() == []


Heard = Callable[[httpx.Response], None]
WINDOW = f"from={FROM}&until={UNTIL}"
REPORTING: list[tuple[str, list[tuple[str, Heard]]]] = [
    ("runs list", [(f"{REPORTS}/org/runs?{WINDOW}", runs_listed)]),
    ("runs list web1", [(f"{RUNS}?{WINDOW}", runs_of_node_listed)]),
    ("runs list -r 5 --status failure", [(f"{REPORTS}/org/runs?{WINDOW}&rows=5&status=failure", failures_listed)]),
    ("runs list --status aborted", [(f"{REPORTS}/org/runs?{WINDOW}&status=aborted", aborted_listed)]),
    (
        "runs show",
        [
            (f"{REPORTS}/org/runs/{RUN_ID}", run_shown),
            (f"{REPORTS}/org/runs/{RUN_ID}?start=0&rows=15", run_shown_whole),
        ],
    ),
    ("runs show (aborted)", [(f"{REPORTS}/org/runs/{ABORTED}", aborted_shown)]),
]
ANALYTICS: list[tuple[str, str, Heard]] = [
    ("action list", "/organizations/acme/actions", actions_listed),
    ("action list --page 3", "/organizations/acme/actions?page=3", later_actions_listed),
    (
        "action list --since --before",
        "/organizations/acme/actions?before=2025-11-05T00:00:00.000Z&since=2025-10-01T00:00:00Z&page=",
        actions_listed,
    ),
    ("action show", "/actions/00000000-0000-4000-8000-000000000001", action_shown),
    ("alert list", "/organizations/acme/alerts", nothing_listed),
    ("audit list", "/organizations/acme/audits", nothing_listed),
    ("rule list", "/organizations/acme/rules", nothing_listed),
    ("notification list", "/organizations/acme/aliases", nothing_listed),
]


@pytest.mark.parametrize("user", ["spike", "rarity"])
@pytest.mark.parametrize(("command", "conversation"), REPORTING, ids=[each[0] for each in REPORTING])
def test_knife_reporting_hears_what_it_asks_for(
    library: Library, command: str, conversation: list[tuple[str, Heard]], user: str
) -> None:
    """Each command's requests, signed by a member or a user of no organization, as the gem was seen to send them."""
    for target, heard in conversation:
        answer = library.signed(user, "GET", target, **PROTOCOL)
        assert answer.status_code == 200, (command, answer.text)
        assert "json" in answer.headers["content-type"]
        heard(answer)


@pytest.mark.parametrize("place", ["/oauth/token", "/id/oauth/token", "/organizations/acme/oauth/token"])
def test_knife_analytics_hears_what_it_asks_for(library: Library, place: str) -> None:
    """A token for a member's signature, from where the gem takes the identity server to be, and each command by it."""
    granted = library.signed("spike", "POST", f"{place}?grant_type=password")
    assert (granted.status_code, granted.headers["cache-control"]) == (200, "no-store")
    assert granted.json().keys() == {"access_token", "token_type", "refresh_token", "expires_in"}
    bearer = {"authorization": f"Bearer {granted.json()['access_token']}", "accept": "application/json"}
    for command, target, heard in ANALYTICS:
        answer = library.shim.http.get(target, headers=bearer)
        assert answer.status_code == 200, (command, answer.text)
        heard(answer)


def test_a_resource_is_found_by_the_uri_that_its_run_tells(library: Library) -> None:
    """By the run's organization and by its node; `rows` and `start` choose which are told, `detail=false` no more."""
    for path in (f"{REPORTS}/org/runs/{RUN_ID}", f"{RUNS}/{RUN_ID}"):
        shown = library.http.get(f"{path}?start=12&rows=2&detail=false").json()
        assert shown.keys() == {"run_resources"}
        told = [library.http.get(each["uri"]).json() for each in shown["run_resources"]]
        assert told == [{"resource_detail": {"content_delta": f"+{number}"}} for number in (12, 13)]


STORED = "SELECT run_id::text FROM runs WHERE organization = 'acme'"


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize(
    ("path", "name", "own"),
    [
        (f"{REPORTS}/org/runs?{WINDOW}", "run_history", f"{STORED} AND node_name <> 'web3'"),
        (f"{RUNS}?{WINDOW}", "run_history", f"{STORED} AND node_name = 'web1'"),
        ("/organizations/acme/actions?", None, "SELECT id::text FROM actions WHERE organization_name = 'acme'"),
        ("/organizations/acme/actions/export?", None, "SELECT id::text FROM actions WHERE organization_name = 'acme'"),
    ],
)
def test_pages_joined_are_the_whole_in_order(
    library: Library, path: str, name: str | None, own: str, rows: int
) -> None:
    """Whatever their size, though many rows are of one time: none twice, none left out, newest first."""
    found = []
    for page in pages(library, f"{path}&rows={rows}"):
        listed = page if name is None else page[name]
        assert 0 < len(listed) <= rows
        found += [(each.get("start_time") or each["recorded_at"], each.get("run_id") or each["id"]) for each in listed]
    assert found == sorted(found, reverse=True)
    assert len(found) == len(set(found))
    assert {found_id for _, found_id in found} == {row[0] for row in library.rows(own)}


def test_what_comes_meanwhile_moves_no_page(library: Library) -> None:
    """A page begins after a row, not after a number of them."""
    first = library.http.get(f"{RUNS}?{WINDOW}&rows=5")
    new = "99999999-1569-4003-a81f-8c0100231d65"
    with psycopg.connect(library.database_url) as connection:
        connection.execute(
            "INSERT INTO runs (run_id, organization, node_name, start_time) VALUES (%s, 'acme', 'web1', %s)",
            [new, "2025-11-29T00:00:00Z"],
        )
    try:
        second = library.http.get(first.links["next"]["url"]).json()["run_history"]
        assert library.http.get(f"{RUNS}?{WINDOW}&rows=1").json()["run_history"][0]["run_id"] == new
    finally:
        library.rows(f"DELETE FROM runs WHERE run_id = '{new}' RETURNING 1")
    third = library.http.get(f"{RUNS}?{WINDOW}&rows=5&start=5").json()["run_history"]
    assert second == third


def test_a_run_without_an_end_is_aborted_until_its_end_comes(library: Library) -> None:
    """It is derived as it is read, of what began more than a day ago: nothing is marked, a late end completes it."""
    listed = f"{REPORTS}/org/runs?{WINDOW}&rows=1000&status="

    def of_status(status: str) -> set[str]:
        return {run["run_id"] for run in library.http.get(listed + status).json()["run_history"]}

    assert of_status("aborted") == {ABORTED}
    assert of_status("started") == set()
    recent = library.http.get(f"{REPORTS}/org/runs").json()["run_history"]
    assert [run["status"] for run in recent] == ["started"]
    assert library.http.get(f"{REPORTS}/org/runs/{ABORTED}", headers=OWN).json()["status"] == "started"
    with psycopg.connect(library.database_url) as connection:
        ended = "UPDATE runs SET status = 'success', end_time = start_time WHERE run_id = %s"
        connection.execute(ended, [ABORTED])
        connection.commit()
        try:
            assert of_status("aborted") == set()
            assert ABORTED in of_status("success")
        finally:
            connection.execute("UPDATE runs SET status = 'started', end_time = NULL WHERE run_id = %s", [ABORTED])


def test_runs_are_counted_and_timed(library: Library) -> None:
    """By the unit that is asked for; every run of the window is in one count."""
    [(runs,)] = library.rows(
        f"SELECT count(*) FROM runs WHERE organization = 'acme' AND extract(epoch FROM start_time) <= {UNTIL}"
        f" AND extract(epoch FROM start_time) >= {FROM}"
    )
    for unit in ("hour", "day", "week"):
        told = library.http.get(f"{REPORTS}/runs/counts?{WINDOW}&granularity={unit}").json()
        assert told["granularity"] == unit
        assert sum(sum(each[status] for status in RUN_STATUSES) for each in told["run_counts"]) == runs
        assert sum(each["aborted"] for each in told["run_counts"]) == 1
    durations = library.http.get(f"{REPORTS}/runs/durations?{WINDOW}").json()["run_durations"]
    assert durations["runs"] == runs - 1
    assert durations["shortest"] <= durations["p50"] <= durations["p90"] <= durations["longest"]
    empty = library.http.get("/organizations/nobody/reports/runs/durations").json()["run_durations"]
    assert (empty["runs"], empty["mean"]) == (0, None)


def test_actions_are_filtered_and_exported(library: Library) -> None:
    """By what a column says, in a span of time, as JSON, as lines and as a table, each the same rows."""
    chosen = "entity_name=app%201&since=2025-10-01&before=2025-12-01"
    listed = library.http.get(f"/organizations/acme/actions?{chosen}").json()
    assert {(each["entity_name"], each["recorded_at"][:4]) for each in listed} == {("app 1", "2025")}
    home = f"/organizations/acme/actions/export?{chosen}&format="
    table, lines, array = (library.http.get(home + each) for each in ("csv", "ndjson", "json"))
    assert table.headers["content-type"].startswith("text/csv")
    assert [json.loads(line) for line in lines.text.splitlines()] == array.json()
    read = list(csv.DictReader(io.StringIO(table.text)))
    assert [each["id"] for each in read] == [each["id"] for each in array.json()] == [each["id"] for each in listed]
    assert read[0]["user_agent"] == 'knife, "quoted"'


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"{REPORTS}/org/runs?from=yesterday", "from: must be a whole number"),
        (f"{REPORTS}/org/runs?from={UNTIL}&until={FROM}", "from: is after until"),
        (f"{REPORTS}/org/runs?from=0&until={UNTIL}", "a window of more than 92 days"),
        (f"{REPORTS}/org/runs?rows=1_0", "rows: must be a whole number from 1 to 1000"),
        (f"{REPORTS}/org/runs?rows=1001", "rows: must be"),
        (f"{REPORTS}/org/runs?rows=5&rows=6", "'rows' comes twice"),
        (f"{REPORTS}/org/runs?start=-1", "start: must be"),
        (f"{REPORTS}/org/runs?status=done", "status: must be one of started, success, failure, aborted"),
        (f"{REPORTS}/org/runs?cursor=AAAA", "cursor: no cursor of ours"),
        (f"{REPORTS}/org/runs?status=%FF", "not UTF-8"),
        (f"{RUNS}/{RUN_ID}?rows=0", "rows: must be"),
        (f"{REPORTS}/runs/counts?granularity=minute&{WINDOW}", "more than 3000 of minute"),
        ("/organizations/acme/actions?page=0", "page: must be"),
        ("/organizations/acme/actions?since=yesterday", "since: must be a time"),
        ("/organizations/acme/actions?since=2025-02-30", "since: must be a time"),
        ("/organizations/acme/actions?since=2025-02-03&before=2025-02-02", "since: is after before"),
        ("/organizations/acme/actions?task=%00", "zero byte"),
        ("/organizations/acme/actions/export?format=xml", "format: must be one of json, ndjson, csv"),
    ],
)
def test_what_makes_no_sense_is_refused_and_said(library: Library, target: str, said: str) -> None:
    """400 in full, in Reporting's routes as the list that knife prints."""
    answer = library.http.get(target)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert isinstance(error, list) == ("/reports/" in target)
    assert said in " ".join(error if isinstance(error, list) else [error])
    problem = library.http.get(target, headers={"accept": "application/problem+json"})
    assert said in problem.json()["detail"]


def test_readers_are_users_and_read_their_own_organizations_only(library: Library) -> None:
    """A member reads and does nothing else; a client its own runs; a token that was given for a signature less yet."""
    own, other, elsewhere = f"{REPORTS}/org/runs", "/organizations/umbrella/actions", "/organizations/canterlot/actions"
    action = f"/actions/{ID}"  # Of no organization.
    expected = [
        ("spike", "GET", own, 200), ("spike", "GET", other, 200), ("spike", "GET", elsewhere, 401),
        ("spike", "GET", action, 404), ("spike", "POST", "/messages", 403), ("spike", "POST", RUNS, 403),
        ("spike", "GET", "/metrics", 403), ("gone", "GET", other, 401), ("gone", "GET", own, 200),
        ("rarity", "GET", action, 200), ("rarity", "GET", elsewhere, 200), ("rarity", "POST", RUNS, 403),
        ("acme/web1", "GET", own, 403), ("acme/web1", "GET", f"{RUNS}/{RUN_ID}", 200), ("acme/web1", "GET", RUNS, 200),
        ("acme/web1", "GET", f"{REPORTS}/nodes/web2/runs", 403),
        ("acme/web1", "GET", "/organizations/acme/actions", 403),
        ("acme/web1", "POST", "/organizations/acme/oauth/token", 403), ("acme/web1", "POST", "/oauth/token", 401),
    ]  # fmt: skip
    for user, method, path, status in expected:
        assert library.signed(user, method, path).status_code == status, (user, method, path)
    assert library.http.post("/oauth/token").status_code == 403  # A token of the file is no signature.
    assert library.signed("spike", "POST", "/oauth/token?grant_type=refresh_token").status_code == 400


def test_an_access_token_opens_what_its_user_may_read_now(
    library: Library, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of its organization if it is for one; it begets no other, posts nothing, and ends with its user's key."""

    def grant(user: str, place: str) -> dict[str, str]:
        token = library.signed(user, "POST", place).json()["access_token"]
        return {"authorization": f"Bearer {token}"}

    def reads(held: dict[str, str], *paths: str) -> list[int]:
        return [library.shim.http.get(path, headers=held).status_code for path in paths]

    acme, umbrella = "/organizations/acme/actions", "/organizations/umbrella/actions"
    held, all_of_them = grant("spike", "/organizations/acme/oauth/token"), grant("spike", "/id/oauth/token")
    of_umbrella = "/actions/00000000-0000-4000-8000-0000000000f1"
    assert reads(held, acme, umbrella, of_umbrella) == [200, 403, 404]
    assert reads(all_of_them, acme, umbrella, of_umbrella, "/organizations/canterlot/actions") == [200, 200, 200, 401]
    rarity = grant("rarity", "/organizations/acme/oauth/token")
    assert reads(rarity, acme, umbrella, f"/actions/{ID}") == [200, 403, 404]
    for path in ("/oauth/token", "/messages", RUNS):
        assert library.shim.http.post(path, headers=all_of_them).status_code == 403, path
    changed = {"authorization": held["authorization"][:-1] + ("A" if held["authorization"][-1] != "A" else "B")}
    assert reads(changed, acme) == [401]
    gone = grant("gone", "/id/oauth/token")
    assert reads(gone, acme) == [200]
    [key] = (path for path in tmp_path_factory.getbasetemp().rglob("acme/users/gone.pem"))
    key.rename(key.with_suffix(".away"))
    try:
        assert reads(gone, acme) == [401]
    finally:
        key.with_suffix(".away").rename(key)


def test_reporting_says_whether_it_works(library: Library, amqp_url: str) -> None:
    """To anybody; without a database a read is 503 with Retry-After, while POSTs go on."""
    online = {"rest_api": "online", "sql_db": "online", "index": "online"}
    assert library.shim.http.get("/reports/status").json() == online
    declare_topology(amqp_url)
    with serving(amqp_url) as shim, answering(amqp_url):
        assert shim.http.get("/reports/status").json() == online | {"sql_db": "offline", "index": "offline"}
        for path in (f"/actions/{ID}", f"{REPORTS}/org/runs", "/organizations/acme/actions"):
            answer = shim.http.get(path)
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
        assert shim.http.post("/messages", content=b"{}").status_code == 201
        assert shim.http.post("/id/oauth/token").json()["token_type"] == "Bearer"  # Nobody is asked who they are.


def test_a_read_that_takes_too_long_is_ended(library: Library) -> None:
    """By PostgreSQL, after what the setting says: a table that is locked holds up no reader for good."""

    async def read() -> list[Any]:
        reads = Database(lambda: library.database_url, 0.2)
        try:
            return await reads.rows("SELECT count(*) FROM compliance_reports", {})
        finally:
            await reads.close()

    with psycopg.connect(library.database_url) as connection:
        connection.execute("LOCK TABLE compliance_reports IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(ReadTooLong):
            asyncio.run(read())


def test_a_page_ends_early_rather_than_hold_too_much(library: Library) -> None:
    """Rows may be as large as bodies are: what a page holds is bounded, and the connection is good for the next one."""

    async def read() -> tuple[int, bool, int]:
        reads = Database(lambda: library.database_url, 60)
        try:
            large = "SELECT repeat('x', 1000000) AS x FROM generate_series(1, 100)"
            found, more = await reads.page(large, {})
            rest, _ = await reads.page("SELECT 1 AS x", {})
            return len(found), more, len(rest)
        finally:
            await reads.close()

    assert asyncio.run(read()) == (5, True, 1)


@pytest.mark.parametrize(
    ("name", "keys", "index"),
    [
        ("runs", {"node": None}, "runs_organization"),
        ("runs", {"node": "web1"}, "runs_organization_node_name"),
        ("counts", {"unit": "hour"}, "runs_organization"),
    ],
)
def test_runs_are_found_by_an_index(library: Library, name: str, keys: dict[str, Any], index: str) -> None:
    """A page of an organization's or a node's runs reads those, and no other rows, in order: nothing is sorted."""
    named = statements.load("ingest.reads", "runs.sql")
    window = {"since": "2025-11-01T00:00:00Z", "until": "2025-12-01T00:00:00Z", "aborted": "2025-11-01T00:00:00Z"}
    place = {"place_time": None, "place_id": None, "status": None, "start": 0, "rows": 26}
    plan = explained(library, named[name], {"organization": "acme"} | window | place | keys)
    assert indexes_of(plan) == {index}
    assert name == "counts" or "Sort" not in types_of(plan)


def test_a_page_of_actions_reads_the_months_of_its_span_only(library: Library) -> None:
    """Partitions of other months are not looked into; an action by its id is looked for in its own."""
    named = statements.load("ingest.reads", "actions.sql", ActionRow)
    keys = dict.fromkeys((*asked.FILTERS, "place_time", "place_id")) | {
        "organization": "acme", "since": "2025-10-05T00:00:00Z", "before": "2025-10-20T00:00:00Z", "start": 0,
        "rows": 26,
    }  # fmt: skip
    plan = explained(library, named["actions"], keys)
    assert relations_of(plan) == {"actions_2025_10"}
    by_id = explained(library, named["action"], {"id": "00000000-0000-4000-8000-000000000001", "organizations": None})
    touched = {
        each["Relation Name"] for each in nodes_of(by_id) if each.get("Actual Loops") and "Relation Name" in each
    }
    assert touched == {"action_ids", "actions_2025_11"}


def explained(library: Library, statement: str, keys: dict[str, Any]) -> dict[str, Any]:
    """The plan with which it was run, on tables too small for PostgreSQL to want an index."""
    with psycopg.connect(library.database_url, prepare_threshold=None) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        found = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), keys).fetchone()
        assert found is not None
        plan: dict[str, Any] = found[0][0]["Plan"]
        return plan


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes_of(each)


def indexes_of(plan: dict[str, Any]) -> set[str]:
    return {each["Index Name"] for each in nodes_of(plan) if "Index Name" in each}


def relations_of(plan: dict[str, Any]) -> set[str]:
    return {each["Relation Name"] for each in nodes_of(plan) if "Relation Name" in each}


def types_of(plan: dict[str, Any]) -> set[str]:
    return {each["Node Type"] for each in nodes_of(plan)}
