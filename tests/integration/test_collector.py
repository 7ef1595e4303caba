"""What the door of Chef's data collector answers: by kind and verdict, to whom, and when nobody is there to ask."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_support import OWN, Shim, serving
from kind_examples import examples, first
from signed_requests import new_key, sign
from stack_support import ACTION, System, running

from consumers.ledger.balance import Books, balance
from ingest.access import tokens
from ingest.shim.doors.collector import HEALTH_PATHS, SEARCH_PATH
from ingest.soak.system import until
from ingest.spool.contents import waiting_in
from ingest.spool.segments import segments
from schemas.doors import COLLECTOR
from schemas.kinds.compliance import KIND as COMPLIANCE
from schemas.kinds.node_ping import KIND as NODE_PING
from schemas.kinds.unknown import KIND as UNKNOWN

DOOR = "/data-collector/v0/"
OF_CLIENTS = "/organizations/acme/data-collector"
KEY = new_key()
SCOPES = {
    "server": "actions,runs",
    "actions": "actions",
    "runs": "runs",
    "acme": "actions,runs,organization=acme",
    "reads": "read",
}
PUBLIC_URL = "https://ingest.example.com/"
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """The system, and the secrets of those whom it knows."""

    system: System
    secrets: dict[str, str]

    @property
    def shim(self) -> Shim:
        return self.system.shim

    def post(self, body: Any, path: str = DOOR, who: str = "server", **fields: str) -> httpx.Response:
        """POST as a Chef server does: the token, and nothing else that matters."""
        headers = {"x-data-collector-token": self.secrets[who]} | fields
        return heard(self.shim.http.post(path, content=content(body), headers=headers))

    def letters(self) -> list[tuple[str, str, str]]:
        """Kind, stage and reason of what became a letter since the last look; all came by this door."""
        found = self.system.rows("DELETE FROM dead_letters RETURNING door, kind, stage, reason")
        assert {row[0] for row in found} <= {COLLECTOR.word}
        return [row[1:] for row in found]


def content(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def heard(response: httpx.Response) -> httpx.Response:
    """An answer that no client trips over: JSON that says so, never a redirect, never 429."""
    assert response.headers["content-type"] == "application/json"
    response.json()
    assert response.status_code // 100 != 3
    assert response.status_code != 429
    return response


def action(**members: Any) -> dict[str, Any]:
    return ACTION | {"id": str(uuid.uuid4())} | members


@pytest.fixture(scope="module")
def place(vhost_pool: Any, databases: Any, tmp_path_factory: Any) -> Iterator[Place]:
    """One system for all: its workers always get to a verdict, and keep a single letter an hour of who is told."""
    folder = tmp_path_factory.mktemp("access")
    made = {name: tokens.new(name, scopes) for name, scopes in SCOPES.items()}
    (folder / "tokens").write_text("\n".join(line for _, line in made.values()))
    (folder / "keys" / "acme").mkdir(parents=True)
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "keys" / "acme" / "web1.pem").write_bytes(public)
    settings = {
        "auth": "any", "tokens_file": folder / "tokens", "client_keys": folder / "keys",
        "public_url": PUBLIC_URL, "wait_seconds": 20, "collector_action_wait_seconds": 20, "letters_per_hour": 1,
    }  # fmt: skip
    amqp_url, database_url = vhost_pool.take(), databases.create(migrated=True)
    try:
        with running(amqp_url, database_url, **settings) as system:
            yield Place(system, {name: secret for name, (secret, _) in made.items()} | {"nobody": "x" * 43})
    finally:
        vhost_pool.give_back(amqp_url)
        databases.drop(database_url)


def test_an_action_is_stored(place: Place) -> None:
    """201 and where it is; the same again is the same, as a Chef server sends it twice."""
    body = action()
    for _ in range(2):
        answer = place.post(body, Host="data-collector")
        assert (answer.status_code, answer.json()) == (201, {"uri": f"{PUBLIC_URL}actions/{body['id']}"})
        assert answer.headers["location"] == answer.json()["uri"]
    assert place.system.rows("SELECT count(*) FROM actions WHERE id = %s", body["id"]) == [(1,)]
    assert place.letters() == []


def test_an_action_of_a_load_generator_is_stored(place: Place) -> None:
    """chef-load's own requestor type, empty strings, a time with fraction and offset: 201, and read as it was sent."""
    body = action(
        **dict.fromkeys(("organization_name", "service_hostname", "remote_hostname", "request_id", "parent_name"), ""),
        parent_type="",
        requestor_type="chef-load",
        entity_type="data_bag",
        recorded_at="2026-11-25T12:30:00.123456789+02:00",
        data={},
    )
    del body["message_version"]
    assert place.post(body).status_code == 201
    stored = "SELECT recorded_at, message_version FROM actions WHERE id = %s"
    assert place.system.rows(stored, body["id"]) == [(datetime(2026, 11, 25, 10, 30, tzinfo=UTC), None)]
    headers = OWN | {"authorization": f"Bearer {place.secrets['reads']}"}
    read = place.shim.http.get(f"/actions/{body['id']}", headers=headers)
    assert read.json() == body


def test_bytes_that_are_no_utf_8_are_kept_and_given_back(place: Place) -> None:
    """201 for a Latin-1 name in an action; the row says that there is one, and a read has the byte."""
    body = action(entity_name="caf<", data={"name": "caf<"})
    assert place.post(content(body).replace(b"<", b"\xe9")).status_code == 201
    stored = "SELECT entity_name LIKE 'caf\ufffd_', extra->>'[not utf-8]' FROM actions WHERE id = %s"
    assert place.system.rows(stored, body["id"]) == [(True, "2")]
    headers = OWN | {"authorization": f"Bearer {place.secrets['reads']}"}
    read = place.shim.http.get(f"/actions/{body['id']}", headers=headers)
    assert b'"entity_name":"caf\xe9"' in read.content
    assert b'"data":{"name": "caf\xe9"}' in read.content
    assert place.letters() == []


def test_another_content_of_an_action_is_a_conflict(place: Place) -> None:
    """409, and the letter has what came second."""
    first = action()
    assert place.post(first).status_code == 201
    assert place.post(first | {"task": "update"}).status_code == 409
    assert place.letters() == [("action", "meaning", "conflict")]


def test_an_action_that_cannot_be_stored_is_told_so(place: Place) -> None:
    """400 with what is wrong. Nobody reads it, so each one is a letter, which it names, whatever bound holds
    for who is told."""
    for task in ("fly", "swim", "crawl"):
        answer = place.post(action(task=task))
        assert answer.status_code == 400
        assert isinstance(answer.json()["letter"], int)
        assert list(answer.json()["details"]) == ["task"]
    assert place.letters() == [("action", "schema", "schema")] * 3


def test_an_action_during_a_run_is_not_stored(place: Place) -> None:
    """200, by which rule, and which run it was."""
    run_id = str(uuid.uuid4())
    start = {"action": "start", "run_id": run_id, "start_time": "2026-11-25 10:00:00 +0000"}
    path = "/organizations/acme/reports/nodes/web1/runs"
    bearer = {"Authorization": f"Bearer {place.secrets['runs']}"}
    assert place.shim.http.post(path, content=content(start), headers=bearer).status_code == 201
    answer = place.post(action(organization_name="acme", remote_request_id=run_id))
    assert answer.status_code == 200
    assert answer.json() == {"stored": False, "rule": "run_id", "run_id": run_id}
    assert answer.headers["x-ingest-rule"] == "run_id"


def test_a_token_comes_as_senders_send_it(place: Place) -> None:
    """As Chef servers and clients, Automate's scripts and chef-load do; one in Erlang's quotes is told to the log."""
    secret = place.secrets["actions"]
    for headers in (
        {"x-data-collector-token": secret, "x-data-collector-auth": "version=1.0"},
        {"api-token": secret},
        {"Authorization": f"Bearer {secret}"},
        {"x-data-collector-token": secret, "X-Ops-Sign": "version=1.0", "X-Ops-UserId": "web1"},
    ):
        answer = heard(place.shim.http.post(DOOR, content=content(action()), headers=headers))
        assert answer.status_code == 201
    for headers in ({}, {"api-token": "x" * 40}, {"x-data-collector-token": f'<<"{secret}">>'}):
        answer = heard(place.shim.http.post(DOOR, content=content(action()), headers=headers))
        assert (answer.status_code, answer.json()) == (401, {"error": "not authenticated"})
    told = tokens.refusal(b'<<"">>')
    until(lambda: told in [each.get("denied") for each in place.shim.events("request")], "the log says what is wrong")


def test_the_kind_says_what_a_token_must_be_good_for(place: Place) -> None:
    """A token for runs posts no action, and one that is held to an organization none of another one."""
    assert place.post(action(), who="runs").status_code == 403
    assert place.post(action(organization_name="acme"), who="acme").status_code == 201
    assert place.letters() == []
    for path in (DOOR, OF_CLIENTS):
        assert place.post(action(organization_name="other"), path, "acme").status_code == 403
        assert place.letters() == [("action", "meaning", "foreign_organization")]
    assert place.post(action(), "/organizations/other/data-collector", "acme").status_code == 403
    assert place.letters() == []


def test_every_path_leads_here_and_no_redirect_does(place: Place) -> None:
    """With a slash or without, through a Chef server's proxy, by Automate's own name, plain or gzipped."""
    for path in COLLECTOR.posts:
        body = action(organization_name="acme")
        assert place.post(body, path.replace("{organization}", "acme")).status_code == 201
        again = gzip.compress(content(body))
        answer = place.post(again, path.replace("{organization}", "acme"), **{"Content-Encoding": "gzip"})
        assert answer.status_code == 201
    for path in (*HEALTH_PATHS, OF_CLIENTS, SEARCH_PATH):
        answer = heard(place.shim.http.put(path, content=b"{}"))
        assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)
    assert heard(place.shim.http.get(OF_CLIENTS)).status_code == 405
    assert heard(place.shim.http.post("/data-collector/v1/", content=b"{}")).status_code == 404


def test_a_body_is_taken_up_to_what_the_broker_takes(place: Place) -> None:
    """The largest message there may be is judged; a byte more is 413 and costs nobody the connection."""
    most = b'{"message_type":"action","x":"' + b"x" * MOST_BYTES
    assert place.post(most[: MOST_BYTES + 1]).status_code == 413
    assert place.letters() == []
    assert place.post(most[:MOST_BYTES]).status_code == 400
    assert place.letters() == [("action", "decode", "not_json")]
    assert len(place.shim.events("broker_connected")) == 1


def test_all_profiles_are_said_to_be_missing(place: Place) -> None:
    """So that a reporter leaves nothing out; what is no search is 400."""
    asked = ["3984753145f0db693e2c6fc79f764e9aff78d892a874391fc5f5cc18f4675b68", "x"]
    for who in ("runs", "acme", "server"):
        answer = place.post({"sha256": asked}, SEARCH_PATH, who)
        assert (answer.status_code, answer.json()) == (200, {"missing_sha256": asked})
    for body in (b"", b"[", {}, {"sha256": "x"}, {"sha256": [1]}, b"[" * 200_000):
        assert place.post(body, SEARCH_PATH).status_code == 400
    assert place.post(b" " * 300_000, SEARCH_PATH).status_code == 413
    assert place.post({"sha256": asked}, SEARCH_PATH, "actions").status_code == 403
    assert place.post({"sha256": asked}, SEARCH_PATH, "nobody").status_code == 401


def signed(place: Place, body: Any, path: str = OF_CLIENTS, user: str = "web1") -> httpx.Response:
    """POST as a chef-client without a token does."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    request = sign(KEY, "1.3", "POST", path, content(body), user=user, time=now)
    return heard(place.shim.http.post(path, content=request.body, headers=request.headers))


def test_a_client_posts_no_action(place: Place) -> None:
    """Its key is good for its runs: whoever has a node's key writes nobody's history."""
    assert signed(place, action(organization_name="acme")).status_code == 403
    assert signed(place, action(), user="other").status_code == 401
    assert place.letters() == []


def run_start(**members: Any) -> dict[str, Any]:
    run_id = str(uuid.uuid4())
    return {
        "chef_server_fqdn": "chef.example.com", "entity_uuid": None, "id": run_id, "message_version": "1.0.0",
        "message_type": "run_start", "node_name": "web1", "organization_name": "acme", "run_id": run_id,
        "source": "chef_client", "start_time": "2026-11-25T10:00:00Z",
    } | members  # fmt: skip


def run_converge(start: dict[str, Any], **members: Any) -> dict[str, Any]:
    ended = {
        "message_type": "run_converge", "message_version": "1.1.0", "end_time": "2026-11-25T10:01:00Z",
        "status": "success", "run_list": [], "expanded_run_list": {}, "resources": [], "node": {},
        "total_resource_count": 0, "updated_resource_count": 0, "deprecations": [],
    }  # fmt: skip
    return start | ended | members


def test_a_kind_that_is_off_is_counted_and_not_kept(database_url: str) -> None:
    """200, since its sender has nothing to mend, though there is no broker; the body says that it is not stored,
    and why. On both sides of the ledger it is one message that only its sender was told of."""
    off = {"collector_compliance": "false", "collector_spool": ""}
    bodies = [first(kind).payload for kind in (COMPLIANCE.name, NODE_PING.name)]
    with serving("amqp://127.0.0.1:1/", database_url, connected=False, **off) as shim:
        answers = [heard(shim.http.post(DOOR, content=each)) for each in bodies]
        packed = {"content-encoding": "gzip"}
        answers.append(heard(shim.http.post(DOOR, content=gzip.compress(bodies[0]), headers=packed)))
        assert [each.status_code for each in answers] == [200, 503, 200]
        assert answers[0].json() == answers[2].json()
        told = answers[0].json()
        assert (told["stored"], told["rule"], answers[0].headers["x-ingest-rule"]) == (False, "kind_off", "kind_off")
        assert "INGEST_COLLECTOR_COMPLIANCE=false" in told["detail"]
        metrics = shim.http.get("/metrics").text
        assert f'chef_ingest_left_out_total{{kind="{COMPLIANCE.name}"}} 2.0' in metrics
        assert f'chef_ingest_left_out_total{{kind="{NODE_PING.name}"}} 0.0' in metrics
        assert shim.stop() == 0
    books, since = Books(database_url), datetime(2020, 1, 1, tzinfo=UTC)
    ledger = balance(books.acknowledged(since), books.accounted(since), 0)
    assert ledger.gap == 0
    assert sum(hour.told for hour in ledger.hours) == sum(hour.acknowledged for hour in ledger.hours) == 2


HANGING = """
import os, time
sync, hung = os.fsync, os.environ["HUNG"]
def fsync(file):
    while os.path.exists(hung):
        time.sleep(0.01)
    sync(file)
os.fsync = fsync
"""


def test_a_disk_that_hangs_holds_up_no_answer_no_start_and_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a broker an action is 503 then, and kept once the disk answers; the log says which disk, and the shim
    starts and ends beside it. What was kept is found again."""
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    hung = tmp_path / "hung"
    hung.touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HUNG", str(hung))
    spool = {"collector_spool": tmp_path / "spool", "collector_action_wait_seconds": 0.05, "drain_seconds": 0.05}
    with serving("amqp://127.0.0.1:1/", connected=False, **spool) as shim:
        (said,) = until(lambda: shim.events("spool_failed"), "the shim gives up waiting for the disk")
        assert said["folder"] == str(tmp_path / "spool")
        assert "does not answer in time" in said["why"]
        refused = heard(shim.http.post(DOOR, content=content(action())))
        assert (refused.status_code, refused.json()["details"]) == (503, {"reason": "spool_slow"})
        assert refused.headers["retry-after"]
        assert shim.http.get(DOOR).status_code == 200
        hung.unlink()
        told = until(lambda: spooled(shim, action()), "the disk answers")
        hung.touch()
        assert heard(shim.http.post(DOOR, content=content(action()))).status_code == 503
        assert shim.stop() == 0
        (left,) = shim.events("spool_left")
        assert left["folder"] == str(tmp_path / "spool")
    found = [each.message.payload for path in segments(tmp_path / "spool") for each in waiting_in(path)]
    assert told in [json.loads(each)["id"] for each in found]


def spooled(shim: Shim, body: dict[str, Any]) -> str:
    """Its id, where it is kept."""
    return str(body["id"]) if shim.http.post(DOOR, content=content(body)).status_code == 202 else ""


def kept(answer: httpx.Response) -> bool:
    """Whether a refusal is told as senders of runs can bear it."""
    return answer.status_code == 202 and answer.json()["stored"] is False and bool(answer.json()["details"])


@pytest.mark.parametrize("first", ["collector", "reports"])
def test_a_run_is_stored_whoever_tells_of_it_first(place: Place, first: str) -> None:
    """Start and end are 201 by both doors, each as often as it comes; the rule knows the run by either."""
    start = run_start()
    run = f"/organizations/acme/reports/nodes/web1/runs/{start['run_id']}"
    started = {"action": "start", "run_id": start["run_id"], "start_time": "2026-11-25 10:00:00 +0000"}
    ended = {
        "action": "end", "status": "success", "start_time": started["start_time"], "data": {}, "resources": [],
        "end_time": "2026-11-25 10:01:00 +0000", "run_list": "[]", "total_res_count": "0",
    }  # fmt: skip
    for path, report, collected in (
        (run.rpartition("/")[0], started, start),
        (run, ended, run_converge(start)),
    ):
        both = [(DOOR, collected), (path, report)]
        for where, body in both if first == "collector" else both[::-1]:
            assert [place.post(body, where).status_code for _ in range(2)] == [201, 201]
        answer = place.post(action(organization_name="acme", remote_request_id=start["run_id"]))
        assert (answer.status_code, answer.json()["run_id"]) == (200, start["run_id"])
    read = place.shim.http.get(run, headers=OWN | {"api-token": place.secrets["reads"]})
    assert (read.status_code, read.json()["status"]) == (200, "success")
    assert place.letters() == []


def test_bytes_that_are_no_utf_8_come_back_of_a_run_that_two_doors_told_of(place: Place) -> None:
    """Reporting's start and the collector's end: a read has each of the end's bytes, whatever half of a pair or Latin-1
    letter it is; the row says how many there are."""
    start = run_start()
    reports = "/organizations/acme/reports/nodes/web1/runs"
    begun = {"action": "start", "run_id": start["run_id"], "start_time": "2026-11-25 10:00:00 +0000", "site": "caf<"}
    assert place.post(content(begun).replace(b"<", b"\xe9"), reports).status_code == 201
    resource = {
        "type": "file", "name": "/srv/caf<", "id": "/srv/caf<", "after": {"checksum": ">"}, "before": {},
        "duration": "1", "delta": "-<", "result": "create", "status": "updated", "ignore_failure": False,
    }  # fmt: skip
    end = content(run_converge(start, resources=[resource], total_resource_count=1, updated_resource_count=1))
    odd = end.replace(b"<", b"\xe9").replace(b">", b"\xed\xa0\x80")
    assert [place.post(odd).status_code for _ in range(2)] == [201, 201]
    assert place.letters() == []
    flags = (
        "SELECT started_by, ended_by, start_extra->>'[not utf-8]', collector_end_extra->>'[not utf-8]' FROM runs"
        " WHERE run_id = %s"
    )
    assert place.system.rows(flags, start["run_id"]) == [("reports", "collector", "1", "6")]
    read = place.shim.http.get(f"{reports}/{start['run_id']}", headers=OWN | {"api-token": place.secrets["reads"]})
    assert read.content.count(b'"/srv/caf\xe9"') == 2
    assert b'"-\xe9"' in read.content
    assert b'{"checksum": "\xed\xa0\x80"}' in read.content


def test_a_run_is_never_refused_for_its_form(place: Place) -> None:
    """202 and a letter each, by its number, whatever bound holds for who is told: by 4xx a client would tell nothing
    more of it."""
    start = run_start()
    told = set()
    for body in (
        run_start(run_id="no uuid"), run_start(start_time="yesterday"), run_start(node_name=None),
        run_start(organization_name=None), b'{"message_type":"run_start",', run_converge(start, status="fine"),
        run_converge(start, resources={}), run_converge(start, end_time=5), b'{"message_type":"run_converge"}]',
    ):  # fmt: skip
        answer = place.post(body)
        assert kept(answer), body
        told.add((answer.json()["letter"], answer.json()["reason"]))
    assert told == set(place.system.rows("SELECT id, reason FROM dead_letters"))
    assert len(told) == 9
    letters = place.letters()
    assert sorted(kind for kind, _, _ in letters) == ["collector_end"] * 4 + ["collector_start"] * 5
    assert {reason for _, _, reason in letters} >= {"not_json", "schema"}


def test_a_run_of_another_node_is_no_conflict_that_a_client_hears_of(place: Place) -> None:
    """The first one stays, the letter has the other one, and the client is told 202."""
    start = run_start()
    assert place.post(start).status_code == 201
    assert kept(place.post(start | {"node_name": "web2"}))
    assert place.letters() == [("collector_start", "meaning", "conflict")]


def test_what_has_no_place_to_be_read_names_none(place: Place) -> None:
    """Pings and compliance reports are 201, without a Location."""
    for kind in (NODE_PING.name, COMPLIANCE.name):
        for each in examples(kind, "valid"):
            answer = place.post(each.path.read_bytes())
            assert (answer.status_code, answer.json()) == (201, {})
            assert "location" not in answer.headers
    assert place.letters() == []


def test_what_is_no_message_is_a_letter(place: Place) -> None:
    """400: an object of no known type, an array of good ones, no JSON, nothing at all."""
    for body in ({}, [action()], b"{", b"", b"\x00", {"message_type": "control_groups"}, {"data": action()}):
        assert place.post(body).status_code == 400, body
    assert {kind for kind, _, _ in place.letters()} == {UNKNOWN.name}


def test_a_client_tells_of_its_own_runs_only(place: Place) -> None:
    """Signed by its key, in its organization and by its name, wherever the body says something else."""
    start = run_start()
    assert signed(place, start).status_code == 201
    assert signed(place, run_converge(start)).status_code == 201
    assert place.letters() == []
    for other in ({"node_name": "web2"}, {"organization_name": "other"}):
        assert signed(place, run_start(**other)).status_code == 403
        assert place.letters() == [("collector_start", "meaning", "foreign_organization")]
    assert place.post(run_start(), who="actions").status_code == 403
    assert place.post(run_start(), who="runs").status_code == 201
    assert place.letters() == []
