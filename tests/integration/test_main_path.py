"""The main path, from a POST or a publish to a committed row and a truthful answer."""

from __future__ import annotations

import gzip
import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pika
import psycopg
import pytest
from http_support import OWN
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from stack_support import ACTION, PUBLISHED, RUNS, Consumers, System, published_body, requests_of, running

from ingest.soak.system import until
from tests.patience import LONG

PONYVILLE = "/organizations/ponyville/reports/nodes"


@pytest.fixture(scope="module")
def system(vhost_pool: Any, databases: Any) -> Iterator[System]:
    """One running system for the tests of this module; each uses ids of its own."""
    amqp_url, database_url = vhost_pool.take(), databases.create(migrated=True)
    with running(amqp_url, database_url, workers=2) as system:
        yield system
    databases.drop(database_url)
    vhost_pool.give_back(amqp_url)


def action(**changes: Any) -> dict[str, Any]:
    return ACTION | {"id": str(uuid.uuid4())} | changes


def start_run(system: System, node: str = "web01", organization: str = "ponyville", run_id: str = "") -> str:
    """Start a run, a new one unless it is named; its id."""
    run_id = run_id or str(uuid.uuid4())
    body = {"action": "start", "run_id": run_id, "start_time": "2026-11-21 19:32:49 -0800"}
    answer = system.http.post(f"/organizations/{organization}/reports/nodes/{node}/runs", json=body)
    assert answer.status_code == 201
    return run_id


def its_start_lets_the_end_in(system: System, run_id: str, node: str) -> None:
    """An end that waits for its start is stored when that comes, and was never a letter."""
    start_run(system, node, run_id=run_id)
    status = "SELECT status FROM runs WHERE run_id = %s"
    until(lambda: system.rows(status, run_id) == [("success",)], "the end is stored")
    assert system.rows("SELECT 1 FROM dead_letters WHERE run_id = %s", run_id) == []


def run_end(**changes: Any) -> dict[str, Any]:
    times = {"start_time": "2026-11-22 03:32:49 UTC", "end_time": "2026-11-22 03:33:49 +0000"}
    body = {"action": "end", "resources": [], "status": "success", "run_list": "[]", "total_res_count": "0", "data": {}}
    return body | times | changes


def test_a_valid_action_is_committed_when_its_201_arrives(system: System) -> None:
    """No row may be missing once its sender has heard 201, and its URL answers."""
    sent = action(entity_name="app1")
    answer = system.http.post("/messages", json=sent)
    assert answer.status_code == 201
    assert answer.json() == {"uri": answer.headers["location"]}
    assert answer.headers["location"].endswith(f"/actions/{sent['id']}")
    assert system.rows("SELECT entity_name FROM actions WHERE id = %s", sent["id"]) == [("app1",)]
    assert system.http.get(answer.headers["location"], headers=OWN).json() == sent


NAMES = (
    "web01", "100%", "%41", "a%2Fb", "%", "%%", "a/b", "/", "//", "a//b", "../..", "..", ".", "...", "a.b.", "~", "a b",
    " a", "a+b", "a?b", "a#b", "a;b=c,d", "[::1]", "a:b@c", "<a>", "\"a\"", "a\\b", "a'b", "a\tb", "a\r\nb: c", "\x7f",
    "\x85", "Füchsle", "節点", "\u202e", "👩‍🚒", "\ufeff", "e\u0301", "\uffff", "𐍈", "{node}", "%s", "runs", "n" * 255,
)  # fmt: skip
"""Of nodes and organizations; what can't be one is refused, and then it has no place to name."""


@given(st.sampled_from(NAMES) | st.text(max_size=20), st.sampled_from(NAMES))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_location_answers_for_every_name_that_was_taken(system: System, node: str, organization: str) -> None:
    """Whatever a name holds, the place that a 201 or 202 names is where that run is read, as it was called."""
    assume(not set(map(ord, node)) & set(range(0xD800, 0xE000)))
    run_id = str(uuid.uuid4())
    path = f"/organizations/{spelled(organization)}/reports/nodes/{spelled(node)}/runs"
    body = json.dumps({"action": "start", "run_id": run_id, "start_time": "2026-11-21 19:32:49 -0800"})
    status, place, _ = raw(system, "POST", path, body)
    if status != 201:
        assert (status, place) == (404 if not node else 400, None)
        return
    assert place is not None
    status, _, run = raw(system, "GET", place.removeprefix(system.shim.url))
    assert (status, run["node_name"], run["organization"]) == (200, node, organization)
    assert raw(system, "GET", urlsplit(str(httpx.URL(place))).path)[0] == 200  # A client that tidies URLs up.


def spelled(name: str) -> str:
    """As a client writes a name into a path that tidies nothing up."""
    return quote(name, safe="").replace(".", "%2E") if set(name) == {"."} else quote(name, safe="")


def raw(system: System, method: str, path: str, body: str | None = None) -> tuple[int, str | None, Any]:
    """Status, Location and JSON body of a request whose target is sent as it is."""
    connection = HTTPConnection(system.shim.listen, timeout=LONG)
    connection.request(method, path, body, OWN)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, answer.getheader("location"), content


def test_the_documented_example_is_read_back_as_it_was_sent(system: System) -> None:
    """The seed's example, an id and a request id in their own spelling."""
    system.http.post("/messages", json=ACTION)
    assert system.http.get(f"/actions/{ACTION['id']}", headers=OWN).json() == ACTION


def test_the_same_action_again_is_201_and_one_row(system: System) -> None:
    """A repeated message is the same row, however it is spelled."""
    sent = action()
    spellings = [json.dumps(sent), json.dumps(sent, indent=2), json.dumps(dict(reversed(sent.items())))]
    codes = [system.http.post("/messages", content=text).status_code for text in spellings]
    codes.append(
        system.http.post(
            "/messages", content=gzip.compress(spellings[0].encode()), headers={"content-encoding": "gzip"}
        ).status_code
    )
    assert codes == [201] * 4
    assert system.rows("SELECT count(*) FROM actions WHERE id = %s", sent["id"]) == [(1,)]


@pytest.mark.parametrize("changes", [{"entity_name": "other"}, {"recorded_at": "2014-01-01T00:00:00Z"}])
def test_another_action_under_the_same_id_is_409_and_the_first_one_stays(
    system: System, changes: dict[str, str]
) -> None:
    """An id is taken once, whatever month the second one names."""
    sent = action()
    assert system.http.post("/messages", json=sent).status_code == 201
    answer = system.http.post("/messages", json=sent | changes)
    assert answer.status_code == 409
    assert set(changes) <= set(answer.json()["details"])
    assert system.http.get(f"/actions/{sent['id']}", headers=OWN).json() == sent
    assert system.rows("SELECT count(*) FROM actions WHERE id = %s", sent["id"]) == [(1,)]


def test_an_invalid_action_is_400_with_every_fault_and_a_letter(system: System) -> None:
    """Faults are keyed by field, a missing member by its own name; the bytes are kept."""
    sent = action(entity_name="", task="fly")
    del sent["user_agent"]
    answer = system.http.post("/messages", json=sent)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Validation failed"
    assert set(answer.json()["details"]) == {"entity_name", "task", "user_agent"}
    assert answer.json()["details"]["entity_name"] == "'' is not a valid entity name"
    letters = system.rows("SELECT stage, payload FROM dead_letters WHERE convert_from(payload, 'UTF8') LIKE %s",
                          f"%{sent['id']}%")  # fmt: skip
    assert [(stage, json.loads(bytes(payload))) for stage, payload in letters] == [("schema", sent)]


def test_an_action_during_a_run_is_200_and_not_stored(system: System) -> None:
    """The answer names the rule and the run; the run id is compared without case; another organization's is none."""
    run_id = start_run(system)
    sent = action(remote_request_id=run_id.upper(), organization_name="ponyville")
    answer = system.http.post("/messages", json=sent)
    assert answer.status_code == 200
    assert answer.json() == {"stored": False, "rule": "run_id", "run_id": run_id}
    assert system.http.get(f"/actions/{sent['id']}").status_code == 404
    elsewhere = action(remote_request_id=run_id, organization_name="canterlot")
    assert system.http.post("/messages", json=elsewhere).status_code == 201
    counted = system.rows("SELECT sum(count) FROM tallies WHERE outcome = 'during_run' AND rule = 'run_id'")
    assert counted[0][0] >= 1


def test_a_repeated_start_is_201_and_another_nodes_is_409(system: System) -> None:
    """Clients repeat a start whose answer they did not get: never 409 for that."""
    run_id = start_run(system, "web01")
    body = {"action": "start", "run_id": run_id, "start_time": "2026-11-21 19:32:50 -0800"}
    assert system.http.post(f"{PONYVILLE}/web01/runs", json=body).status_code == 201
    assert system.http.post(f"{PONYVILLE}/web02/runs", json=body).status_code == 409
    other = system.http.post("/organizations/canterlot/reports/nodes/web01/runs", json=body)
    assert other.status_code == 409


def test_an_end_is_201_once_and_again_and_409_with_other_content(system: System) -> None:
    """The first end stays; a repeated one is the same; resources are rows."""
    run_id = start_run(system)
    url = f"{PONYVILLE}/web01/runs/{run_id}"
    resource = {
        "type": "file", "name": "/a", "id": "/a", "duration": "12", "before": {"x": None}, "after": {"x": 1},
        "delta": "", "result": "create", "cookbook_name": "app", "cookbook_version": None,
    }  # fmt: skip
    sent = run_end(resources=[resource], total_res_count="1")
    answers = [system.http.post(url, json=sent) for _ in range(2)]
    assert [(each.status_code, each.json()) for each in answers] == [(201, {})] * 2
    assert system.http.post(url, json=run_end(total_res_count="2")).status_code == 409
    run = system.http.get(url, headers=OWN).json()
    assert (run["status"], run["updated_res_count"]) == ("success", 1)
    assert run["resources"][0]["before"] == {"x": None}
    assert system.rows("SELECT count(*) FROM run_resources WHERE run_id = %s", run_id) == [(1,)]


REBOOT = {"exception": {"class": "#<Chef::Exceptions::Reboot: new kernel>", "message": "new kernel"}}
FAILED = {"exception": {"class": "#<RuntimeError: no>", "message": "no"}}


@pytest.mark.parametrize(
    ("data", "kept", "rows"), [(REBOOT, ("success", {}, REBOOT), 2), (FAILED, ("failure", FAILED, None), 1)]
)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_run_that_finished_and_then_failed_has_one_end_and_no_letter(
    system: System, data: Any, kept: Any, rows: int, swapped: bool
) -> None:
    """A reboot leaves the success as it is and is noted, another failure holds; in any order, and told again."""
    run_id = start_run(system)
    url = f"{PONYVILLE}/web01/runs/{run_id}"
    resource = {"type": "file", "name": "/a", "id": "/a", "duration": "1", "before": {}, "after": {}, "delta": "",
                "result": "create"}  # fmt: skip
    success = run_end(resources=[resource, resource | {"name": "/b"}], total_res_count="2")
    ends = [success, run_end(status="failure", data=data, resources=[resource], total_res_count="2")]
    ends = ends[::-1] if swapped else ends
    answers = [system.http.post(url, json=end).status_code for end in (*ends, *ends)]
    assert answers == [201] * 4
    assert system.rows("SELECT status, data, reboot FROM runs WHERE run_id = %s", run_id) == [kept]
    assert system.rows("SELECT count(*) FROM run_resources WHERE run_id = %s", run_id) == [(rows,)]
    assert system.rows("SELECT reason FROM dead_letters WHERE run_id = %s", run_id) == []


def test_bytes_that_are_no_utf_8_are_kept_in_a_report_and_given_back(system: System) -> None:
    """A Latin-1 file name in a report, or an encoded half of a surrogate pair, costs no client its run: the row shows
    where the bytes were, says that there were some, and a read has them; sent again it is the same, and with another
    byte another end. POST /messages refuses them."""
    run_id = start_run(system)
    resource = {"type": "file", "name": "/srv/caf<", "id": "/srv/caf<", "duration": "1", "result": "create"}
    end = json.dumps(run_end(resources=[resource | {"after": {"checksum": ">"}}], total_res_count="1"))
    path = f"{PONYVILLE}/web01/runs/{run_id}"

    def post(latin: bytes) -> int:
        body = gzip.compress(end.encode().replace(b"<", latin).replace(b">", b"\xed\xa0\x80"))
        answer: httpx.Response = system.http.post(path, content=body, headers={"content-encoding": "gzip"})
        return answer.status_code

    assert [post(b"\xe9"), post(b"\xe9"), post(b"\xe8")] == [201, 201, 409]
    [(shown, flag)] = system.rows(
        "SELECT s.name, r.end_extra->>'[not utf-8]' FROM runs r JOIN run_resources s USING (run_id) WHERE run_id = %s",
        run_id,
    )
    assert shown.startswith("/srv/caf\ufffd")
    assert flag == "5"
    read = system.http.get(path, headers=OWN).content
    assert b'"/srv/caf\xe9"' in read
    assert b'{"checksum": "\xed\xa0\x80"}' in read
    refused = json.dumps(action(entity_name="caf<")).encode().replace(b"<", b"\xe9")
    assert system.http.post("/messages", content=refused).status_code == 400


def test_an_end_without_a_start_is_404_and_leaves_a_letter(system: System) -> None:
    """Unknown run, or another node's or organization's: 404, and the report is not gone."""
    run_id, unknown = start_run(system), str(uuid.uuid4())
    assert system.http.post(f"{PONYVILLE}/web01/runs/{unknown}", json=run_end()).status_code == 404
    assert system.http.post(f"{PONYVILLE}/web02/runs/{run_id}", json=run_end()).status_code == 404
    elsewhere = f"/organizations/canterlot/reports/nodes/web01/runs/{run_id}"
    assert system.http.post(elsewhere, json=run_end()).status_code == 404
    reasons = system.rows("SELECT reason FROM dead_letters WHERE run_id = %s", unknown)
    assert reasons == [("unknown_run",)]


@pytest.mark.parametrize("name", RUNS)
def test_every_captured_client_gets_the_right_answers(system: System, name: str) -> None:
    """Start and end, byte for byte as chef-client sent them, and once more as its retries do."""
    run = RUNS[name]
    requests = requests_of(run)
    for kind in ("start", "end"):
        path, body, headers = requests[kind]
        for _ in range(2):
            answer = system.http.post(path, content=body, headers=headers)
            assert answer.status_code == run["expected"]["preferred"][kind], answer.text
    sent = json.loads(gzip.decompress(requests["end"][1]))
    stored = system.http.get(requests["end"][0], headers=OWN).json()
    assert stored["status"] == sent["status"]
    assert stored["data"] == sent["data"]
    assert [each["name"] for each in stored["resources"]] == [each["name"] for each in sent["resources"]]


def test_what_chef_servers_publish_is_stored_with_nobody_waiting(system: System) -> None:
    """Every captured publish, bytes and properties as they were: by the wire profile all of them are stored."""
    for captured in PUBLISHED:
        system.publish(captured["exchange"], captured["routing_key"], published_body(captured))
    sent = [json.loads(published_body(each)) for each in PUBLISHED]
    for each in sent:
        answer = until(lambda each=each: _found(system, each["id"]), f"{each['id']} is stored")
        assert answer == each


def _found(system: System, action_id: str) -> Any:
    answer = system.http.get(f"/actions/{action_id}", headers=OWN)
    return answer.json() if answer.status_code == 200 else None


def test_legal_times_outside_the_partitions_are_stored(system: System) -> None:
    """1976 and 9999 are years like others: the default partition takes them."""
    for year in ("1976", "9999", "0001"):
        sent = action(recorded_at=f"{year}-10-02T05:00:37Z")
        assert system.http.post("/messages", json=sent).status_code == 201
        assert system.http.get(f"/actions/{sent['id']}", headers=OWN).json() == sent


def test_a_row_that_only_the_database_refuses_costs_nobody_else_anything(system: System) -> None:
    """NUL in a name: 400 with the database's own words, and its neighbours of the same batch are stored."""
    good = [action() for _ in range(50)]
    bad = action(entity_name="a\x00b")
    bodies = [json.dumps(each).encode() for each in (*good[:25], bad, *good[25:])]
    system.publish("ingest", "action", *bodies, type="action")
    ids = [each["id"] for each in good]
    count = "SELECT count(*) FROM actions WHERE id = ANY(%s)"
    until(lambda: system.rows(count, ids) == [(50,)], "the good ones are stored")
    letter = "SELECT stage, reason, sqlstate FROM dead_letters WHERE encode(payload, 'escape') LIKE %s"
    until(lambda: system.rows(letter, f"%{bad['id']}%"), "the bad one is a letter")
    assert system.rows(letter, f"%{bad['id']}%") == [("database", "refused", "22021")]
    assert system.http.post("/messages", json=action(entity_name="a\x00b")).status_code == 400


def test_too_large_inflated_is_413_and_strange_encodings_415(system: System) -> None:
    """A gzip bomb is refused by its inflated size."""
    bomb = gzip.compress(b" " * (17 * 1024 * 1024))
    assert system.http.post("/messages", content=bomb, headers={"content-encoding": "gzip"}).status_code == 413
    assert system.http.post("/messages", content=b"{}", headers={"content-encoding": "br"}).status_code == 415


def test_what_nests_too_deep_is_400_and_does_nobody_harm(system: System) -> None:
    """Deeper than `max_depth`, in or beside `data`: refused by name; a good deal less, stored."""
    for depth, status in ((900, 201), (1_100, 400), (1_000_000, 400)):
        nested = "[" * depth + "]" * depth
        body = json.dumps(action())[:-1] + f', "beside": {nested}}}'
        answer = system.http.post("/messages", content=body.encode(), headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text
        assert ("nested deeper" in answer.text) == (status == 400)


def test_async_is_202_and_judged_all_the_same(system: System) -> None:
    """`Prefer: respond-async` is answered at once; the row comes."""
    sent = action()
    answer = system.http.post("/messages", json=sent, headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert until(lambda: _found(system, sent["id"]), "the row") == sent


def test_a_run_end_that_overtakes_its_start_waits_for_it(system: System) -> None:
    """With nobody waiting the end goes through the delay queue until its start is there."""
    run_id = str(uuid.uuid4())
    path = f"{PONYVILLE}/web09/runs"
    early = system.http.post(f"{path}/{run_id}", json=run_end(), headers={"prefer": "respond-async"})
    assert early.status_code == 202
    until(lambda: _messages(system, "ingest.delay") or None, "the end waits in the delay queue")
    its_start_lets_the_end_in(system, run_id, "web09")


def test_a_run_end_whose_client_no_longer_waits_is_no_letter(system: System) -> None:
    """Behind a lock the client hears 202 in the end: its run's start may still be on its way, and is waited for."""
    run_id = str(uuid.uuid4())
    path = f"{PONYVILLE}/web10/runs"
    with psycopg.connect(system.database_url) as connection:
        connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        early = system.http.post(f"{path}/{run_id}", json=run_end(), headers={"prefer": "wait=1"})
        assert early.status_code == 202
        # The time by which it was to be answered is a whole second.
        time.sleep(1.1)
    until(lambda: _messages(system, "ingest.delay") or None, "the end waits in the delay queue")
    its_start_lets_the_end_in(system, run_id, "web10")


def _messages(system: System, queue: str) -> int:
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(system.amqp_url))
    count: int = connection.channel().queue_declare(queue, passive=True).method.message_count
    connection.close()
    return count


def test_four_processes_share_one_queue_and_drain_on_sigterm(amqp_url: str, database_url: str) -> None:
    """Every message is stored once, by more than one process; after SIGTERM nothing received is lost, exit 0."""
    with running(amqp_url, database_url, workers=4, batch_messages=20) as system:
        bodies = [json.dumps(action()).encode() for _ in range(1200)]
        system.publish("ingest", "action", *bodies[:600], type="action")
        system.publish("ingest", "action", *bodies[600:], type="action")
        assert system.consumers.stop() == 0
        stored = system.rows("SELECT count(*), count(DISTINCT id) FROM actions")[0]
        assert stored[0] == stored[1]
        until(lambda: stored[0] + _messages(system, "ingest.actions") == 1200, "the broker has the rest back")
        system.consumers = Consumers(amqp_url, database_url, 1)
        until(lambda: system.rows("SELECT count(*) FROM actions") == [(1200,)], "the rest is stored")
        # A drained worker gives back only what it never began: redelivery would have counted as duplicates.
        assert system.rows("SELECT coalesce(sum(count), 0) FROM tallies WHERE outcome = 'duplicate'") == [(0,)]


def test_a_worker_without_its_schema_says_so_and_exits_78(amqp_url: str, empty_database_url: str) -> None:
    """A configuration fault is no crash loop: exit 78, with the command that mends it."""
    consumers = Consumers(amqp_url, empty_database_url)
    assert consumers.process.wait(LONG) == 78


def test_a_worker_that_can_not_make_partitions_of_the_past_still_stores(system: System) -> None:
    """Rows that the default partition caught move into their month when it is made."""
    sent = action(recorded_at="2020-02-03T04:05:06Z")
    assert system.http.post("/messages", json=sent).status_code == 201
    with psycopg.connect(system.database_url) as connection:
        assert connection.execute("SELECT ingest_make_partitions('2020-02-01', 1)").fetchall() == [
            ("run_resources_2020_02",)
        ]
        steps = [
            connection.execute("SELECT * FROM ingest_fill_partition('2020-02-01', 1, 9)").fetchone() for _ in "123"
        ]
    assert steps == [("actions_2020_02", 1, False), ("actions_2020_02", 0, True), None]
    assert system.rows("SELECT count(*) FROM actions_2020_02 WHERE id = %s", sent["id"]) == [(1,)]
    assert system.http.get(f"/actions/{sent['id']}", headers=OWN).json() == sent


def test_migrate_is_safe_to_repeat_and_makes_partitions_ahead(empty_database_url: str) -> None:
    """The first time applies, the second finds nothing to do; this month and the next ones have partitions."""
    from click.testing import CliRunner

    from ingest.cli import main

    environ = {"DATABASE_URL": empty_database_url, "INGEST_PARTITIONS_AHEAD": "2"}
    first, second = (CliRunner().invoke(main, ["migrate"], env=environ) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "applied 0001_tables" in first.output
    assert first.output.count("actions_2") == 3
    assert "nothing to do" in second.output
    assert "enough ahead" in second.output


def test_broken_reply_addresses_of_one_sender_cost_no_client_his_answer(system: System) -> None:
    """Among three hundred waiting POSTs: what some publisher of ours calls its reply-to breaks nobody's connection."""
    addresses = ["!!!!.####", "bm9uc2Vuc2U=.a2V5", "g2EB.a2V5", "", f"{'A' * 200}.AAAA"]
    codes: list[int] = []

    def post() -> None:
        for _ in range(50):
            codes.append(system.http.post("/messages", json=action(), headers={"Prefer": "wait=20"}).status_code)

    clients = [threading.Thread(target=post) for _ in range(6)]
    for client in clients:
        client.start()
    odd = [json.dumps(action()).encode() for _ in range(60)]
    for number, body in enumerate(odd):
        reply_to = "amq.rabbitmq.reply-to." + addresses[number % len(addresses)]
        system.publish("ingest", "action", body, type="action", reply_to=reply_to, correlation_id=f"odd-{number}")
    for client in clients:
        client.join()
    assert codes == [201] * 300
    ids = [json.loads(body)["id"] for body in odd]
    until(lambda: system.rows("SELECT count(*) FROM actions WHERE id = ANY (%s::uuid[])", ids) == [(60,)], "all stored")


def test_who_sends_through_a_chef_servers_exchange_is_not_answered(system: System) -> None:
    """Whatever reply-to is named, one that a broker has made too; what a shim sends from there is answered."""
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        channel = connection.channel()
        heard: list[str] = []
        reply_to = "amq.rabbitmq.reply-to"
        channel.basic_consume(reply_to, lambda *came: heard.append(came[3].decode()), auto_ack=True)
        bodies = [json.dumps(action()).encode() for _ in range(3)]
        for body, exchange, key in zip(
            bodies, ("actions", "actions", "ingest"), ("erchef.a.b", "erchef.c.d", "action"), strict=True
        ):
            facts = pika.BasicProperties(type="action", reply_to=reply_to, correlation_id=exchange)
            channel.basic_publish(exchange, key, body, facts)
        ids = [json.loads(body)["id"] for body in bodies]
        until(lambda: system.rows("SELECT count(*) FROM actions WHERE id = ANY (%s::uuid[])", ids) == [(3,)], "stored")
        until(lambda: connection.process_data_events(0.1) is None and bool(heard), "the shim is answered")
        connection.process_data_events(0.2)
    assert [json.loads(each)[0][0] for each in heard] == ["ingest"]
