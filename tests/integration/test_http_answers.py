"""Every answer of the HTTP table that a verdict or the request itself decides, through a real broker."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import httpx
import pytest
from http_support import ACTION_ID, CREATED, Shim, answering, broker_channel, declare_topology, depth, serving

from consumers.broker.probe import probing
from schemas.topology import ACTIONS, PINGS, RUNS
from schemas.verdict import Conflict, Created, DuringRun, Invalid, UnknownRun, Verdict
from tests.patience import LONG
from tests.servers import VhostPool

RUN_ID = "562c4230-1569-4003-a81f-8c0100231d65"
NODE_RUNS = "/organizations/acme/reports/nodes/web1/runs"
RUN = f"{NODE_RUNS}/{RUN_ID}"
PROTOCOL = {"X-Ops-Reporting-Protocol-Version": "0.1.0"}


@pytest.fixture(scope="module")
def vhost(vhost_pool: VhostPool) -> Iterator[str]:
    url = vhost_pool.take()
    declare_topology(url)
    yield url
    vhost_pool.give_back(url)


@pytest.fixture(scope="module")
def shim(vhost: str) -> Iterator[Shim]:
    """One for the tests that need no setting of their own, and end it not."""
    with serving(vhost, wait_seconds=10) as shim:
        yield shim


@pytest.fixture
def broker(vhost: str) -> str:
    """Nothing is queued, whatever the test before has left."""
    with broker_channel(vhost) as channel:
        for queue in (ACTIONS, RUNS, PINGS):
            channel.queue_purge(queue)
    return vhost


VERDICTS: list[tuple[str, Verdict, int, dict[str, object]]] = [
    ("/messages", CREATED, 201, {"uri": f"URL/actions/{ACTION_ID}"}),
    (
        "/messages",
        DuringRun("run_id", RUN_ID),
        200,
        {"stored": False, "rule": "run_id", "run_id": RUN_ID},
    ),
    (
        "/messages",
        Invalid("schema", "schema", {"entity_name": "'' is not a valid entity name"}),
        400,
        {"error": "Validation failed", "details": {"entity_name": "'' is not a valid entity name"}},
    ),
    (
        RUN,
        UnknownRun(RUN_ID, "nobody started it"),
        404,
        {"error": "nobody started it", "details": {"run_id": RUN_ID}},
    ),
    (
        RUN,
        Conflict({"status": "differs"}),
        409,
        {"error": "this id is taken by another content, which stays", "details": {"status": "differs"}},
    ),
    (
        RUN,
        Invalid("decode", "too_large", {"body": "inflates to too much"}),
        413,
        {"error": "Validation failed", "details": {"body": "inflates to too much"}},
    ),
    (
        RUN,
        Invalid("decode", "content_encoding", {"body": "no gzip"}),
        415,
        {"error": "Validation failed", "details": {"body": "no gzip"}},
    ),
    (NODE_RUNS, Created(RUN), 201, {"uri": f"URL{RUN}"}),
    (RUN, Created(RUN), 201, {}),
]


def test_verdicts(shim: Shim, broker: str) -> None:
    """A worker's verdict is what the client is told, by its own status and body."""
    verdicts = iter(VERDICTS)
    with answering(broker, lambda *_: next(verdicts)[1]):
        for path, verdict, status, body in VERDICTS:
            response = shim.http.post(path, content=b"{}")
            assert response.status_code == status, verdict
            told = {name: f"{shim.url}{str(value)[3:]}" if name == "uri" else value for name, value in body.items()}
            assert response.json() == told
            if isinstance(verdict, Created):
                assert response.headers["location"] == shim.url + verdict.path
            if isinstance(verdict, DuringRun):
                assert response.headers["x-ingest-rule"] == "run_id"


def test_bytes_arrive_unchanged(shim: Shim, broker: str) -> None:
    """A worker gets the very bytes that were posted, in one piece or chunked, whatever their label."""
    bodies = [b"", b"\x00\xff not JSON", gzip.compress(b"{}"), bytes(range(256)) * 3000]
    with answering(broker) as worker:
        for body in bodies:
            labels = {"Content-Type": "application/x-www-form-urlencoded"}
            assert shim.http.post("/messages", content=body, headers=labels).status_code == 201
            chunks = iter([body[:10], body[10:]])
            assert shim.http.post("/messages", content=chunks).status_code == 201
    assert [body for _, body in worker.seen] == [body for each in bodies for body in (each, each)]


def test_envelope(shim: Shim, broker: str) -> None:
    """A run end travels persistent, with its kind, coding, the decoded parts of its path, and what is known of who sent
    it."""
    path = "/organizations/ac%20me/reports/nodes/a%2Fb%C3%A9/runs/x"
    with answering(broker, Created("/x")) as worker:
        response = shim.http.post(path, content=b"z", headers={"Content-Encoding": "gzip", **PROTOCOL})
    assert response.status_code == 201
    [(properties, body)] = worker.seen
    answer_by = properties.headers.pop("x-answer-by")
    assert answer_by >= properties.timestamp, "nobody waits after that"
    sender = json.loads(properties.headers.pop("x-sender"))
    assert sender == {"address": "127.0.0.1", "user_agent": f"python-httpx/{httpx.__version__}"}
    assert properties.headers == {"x-organization": "ac me", "x-node": "a/bé", "x-run-id": "x"}
    assert (properties.type, properties.content_encoding) == ("run_end", "gzip")
    assert (properties.delivery_mode, properties.app_id, body) == (2, "chef-ingest", b"z")


def test_slash_in_a_name_keeps_its_route(shim: Shim, broker: str) -> None:
    """An encoded slash belongs to the name and never becomes another route."""
    with answering(broker, Created("/x")) as worker:
        path = "/organizations/acme/reports/nodes/a%2Fruns%2Fb/runs"
        assert shim.http.post(path, content=b"{}").status_code == 201
    [(properties, _)] = worker.seen
    assert (properties.type, properties.headers["x-node"]) == ("run_start", "a/runs/b")


def test_slashes_in_a_row_are_one(shim: Shim, broker: str) -> None:
    """chef-clients up to 11.12.8 send two where their server's URL ends in one; one in a name is a name's."""
    sent = httpx.URL(str(shim.http.base_url)).copy_with(raw_path=b"//organizations///acme/reports//nodes/a%2F%2Fb/runs")
    with answering(broker, Created("/x")) as worker:
        assert shim.http.post(sent, content=b"{}").status_code == 201
    [(properties, _)] = worker.seen
    assert (properties.type, properties.headers["x-organization"]) == ("run_start", "acme")
    assert properties.headers["x-node"] == "a//b"


def test_late_verdict(shim: Shim, broker: str) -> None:
    """Without a verdict within the wait the answer is 202, and the message is in the queue."""
    response = shim.http.post("/messages", content=b"{}", headers={"Prefer": "wait=1"})
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=1"
    assert response.json()["uri_template"] == f"{shim.url}/actions/{{id}}"
    assert depth(broker, ACTIONS) == 1


def test_the_collector_waits_for_an_action_as_long_as_it_says(broker: str) -> None:
    """Not as long as other doors: a Chef server's client waits as well. Its URLs are of no Host, which nginx makes."""
    with serving(broker, wait_seconds=60, collector_action_wait_seconds=1) as shim:
        response = shim.http.post("/data-collector/v0/", content=b'{"message_type":"action"}')
    assert (response.status_code, response.json()["uri_template"]) == (202, "/actions/{id}")
    assert depth(broker, ACTIONS) == 1


def test_default_wait(broker: str) -> None:
    """The default wait is a setting; its end is 202 without Preference-Applied."""
    with serving(broker, wait_seconds="0.05") as shim:
        response = shim.http.post(RUN, content=b"{}")
    assert response.status_code == 202
    assert "preference-applied" not in response.headers
    assert response.json()["uri"] == shim.url + RUN
    assert depth(broker, RUNS) == 1


def test_respond_async(shim: Shim, broker: str) -> None:
    """respond-async is 202 as soon as the broker has the message, and asks no worker for a reply."""
    with answering(broker) as worker:
        response = shim.http.post("/messages", content=b"{}", headers={"Prefer": "respond-async"})
        assert response.status_code == 202
        assert response.headers["preference-applied"] == "respond-async"
        assert shim.http.post("/messages", content=b"{}").status_code == 201
    assert worker.seen[0][0].reply_to is None


def test_other_methods(shim: Shim) -> None:
    """Another method is 405, with the methods there are in Allow."""
    for method, path, allow in (
        ("GET", "/messages", "POST"),
        ("PUT", "/messages", "POST"),
        ("DELETE", NODE_RUNS, "GET, HEAD, POST"),
        ("PUT", RUN, "GET, HEAD, POST"),
        ("POST", "/actions/x", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ):
        response = shim.http.request(method, path)
        assert (response.status_code, response.headers["allow"]) == (405, allow), (method, path)


def test_nothing_there(shim: Shim) -> None:
    """Any other path is 404, as JSON."""
    for path in ("/messages/", "/actions", "/organizations/a/reports/nodes//runs", NODE_RUNS + "/a/b/c"):
        response = shim.http.post(path, content=b"{}")
        assert (response.status_code, response.json()) == (404, {"error": "there is nothing here"}), path


@pytest.mark.parametrize("path", [NODE_RUNS, RUN])
def test_protocol_version(shim: Shim, broker: str, path: str) -> None:
    """A reporting protocol other than 0.1.0 is 406, by header or by query; none at all is taken."""
    with answering(broker, Created("/x")):
        answers = [
            shim.http.post(path, headers={"X-Ops-Reporting-Protocol-Version": "0.2.0"}),
            shim.http.post(path, params={"protocol-version": "0.2.0"}),
            shim.http.post(path, params={"protocol-version": "0.2.0"}, headers=PROTOCOL),
            shim.http.post(path, params={"protocol-version": "0.1.0"}),
            shim.http.post(path, headers=PROTOCOL),
            shim.http.post(path),
        ]
    assert [each.status_code for each in answers] == [406, 406, 406, 201, 201, 201]


def test_strict_protocol(broker: str) -> None:
    """A strict shim answers 404 to a run report that names no protocol version, and serves one that does."""
    with serving(broker, strict_protocol="true") as shim, answering(broker, Created("/x")):
        assert shim.http.post(NODE_RUNS).status_code == 404
        assert shim.http.get(RUN).status_code == 404
        assert shim.http.post(NODE_RUNS, headers=PROTOCOL).status_code == 201


def test_other_codings(shim: Shim, broker: str) -> None:
    """A coding other than gzip and identity is 415, and nothing is queued."""
    for coding in ("br", "gzip, gzip", "deflate"):
        response = shim.http.post("/messages", content=b"{}", headers={"Content-Encoding": coding})
        assert response.status_code == 415, coding
        assert response.headers["accept-encoding"] == "gzip, identity"
        assert response.json()["error"] == "Validation failed"
    assert depth(broker, ACTIONS) == 0


def test_too_large(broker: str) -> None:
    """A body over the limit is 413, whether its length is told or comes out, and nothing is queued."""
    with serving(broker, max_body_bytes=2048) as shim, answering(broker):
        assert shim.http.post("/messages", content=b"x" * 2049).status_code == 413
        assert shim.http.post("/messages", content=iter([b"x" * 2048, b"x"])).status_code == 413
        assert shim.http.post("/messages", content=iter([b"x" * 1024] * 5000)).status_code == 413
        assert depth(broker, ACTIONS) == 0
        assert shim.http.post("/messages", content=b"x" * 2048).status_code == 201


@pytest.mark.parametrize("set_by", ["us", "the broker's version"])
def test_what_the_broker_takes_no_message_of_is_413_and_costs_nobody_the_connection(broker: str, set_by: str) -> None:
    """A body over the broker's own limit is not published: it would end the channel, and with it who else waits."""
    most = 2048 if set_by == "us" else 16 * 1024 * 1024
    beyond = 413 if set_by == "us" or _major(broker) >= 4 else 201
    limits = {"max_body_bytes": 32 * 1024 * 1024, "max_inflated_bytes": 32 * 1024 * 1024}
    with serving(broker, **limits, amqp_max_message_bytes=most if set_by == "us" else 0) as shim, answering(broker):
        assert shim.http.post("/messages", content=b"x" * (most + 1)).status_code == beyond
        assert shim.http.post("/messages", content=iter([b"x" * most, b"x"])).status_code == beyond
        assert shim.http.post("/messages", content=b"x" * most).status_code == 201
        assert len(shim.events("broker_connected")) == 1


def _major(amqp_url: str) -> int:
    with probing(amqp_url, heartbeat=30) as probe:
        return int(probe.product()[1].partition(".")[0])


def test_bad_paths(shim: Shim) -> None:
    """A path that is not UTF-8 is 400, one without end 414, and neither costs the channel."""
    assert shim.http.post("/organizations/%FF/reports/nodes/n/runs").status_code == 400
    long = f"/organizations/{'x' * 60_000}/reports/nodes/n/runs"
    assert shim.http.post(long).status_code == 414
    assert len(shim.events("broker_connected")) == 1


def test_host_makes_the_urls(broker: str) -> None:
    """URLs are made of the Host that the client used, never of X-Forwarded fields; an impossible one is 400."""
    with serving(broker, insecure_no_auth=True) as shim, answering(broker):
        named = shim.http.post("/messages", headers={"Host": "chef.example.com:80", "X-Forwarded-Host": "evil"})
        assert named.headers["location"] == f"http://chef.example.com:80/actions/{ACTION_ID}"
        assert shim.http.post("/messages", headers={"Host": "a/b"}).status_code == 400


def test_public_url(broker: str) -> None:
    """A configured public URL is the base of every URL."""
    with serving(broker, public_url="https://chef.example.com/in/") as shim, answering(broker):
        location = shim.http.post("/messages").headers["location"]
    assert location == f"https://chef.example.com/in/actions/{ACTION_ID}"


def test_problem_document(shim: Shim, broker: str) -> None:
    """Who accepts application/problem+json gets errors in that form, and only who does."""
    with answering(broker, Invalid("schema", "schema", {"id": "is missing"})):
        problem = shim.http.post("/messages", headers={"Accept": "application/problem+json"})
        plain = shim.http.post("/messages", headers={"Accept": "*/*"})
    assert problem.headers["content-type"] == "application/problem+json"
    assert (problem.json()["status"], problem.json()["details"]) == (400, {"id": "is missing"})
    assert plain.headers["content-type"] == "application/json"


def test_health_and_readiness(shim: Shim, broker: str) -> None:
    """The process is healthy by itself, and ready only while a consumer answers."""
    well = shim.http.get("/healthz")
    assert (well.status_code, well.text) == (200, '{"status":"ok"}\n')
    assert shim.http.head("/healthz").content == b""
    alone = shim.http.get("/readyz")
    assert (alone.status_code, alone.json()) == (503, {"ready": False, "why": "no consumer answered"})
    with answering(broker):
        while (ready := shim.http.get("/readyz")).status_code != 200:
            assert ready.json()["why"] == "no consumer answered"
    assert ready.json() == {"ready": True}


def test_one_line_a_request(broker: str) -> None:
    """A request leaves one log line, with the correlation id the worker saw and nothing of the body."""
    with serving(broker) as shim, answering(broker) as worker:
        shim.http.post("/messages", content=b"a secret body")
    [line] = shim.events("request")
    assert (line["route"], line["status"], line["verdict"], line["bytes"]) == ("/messages", 201, "created", 13)
    assert line["correlation_id"] == worker.seen[0][0].correlation_id
    assert not [each for each in shim.log if "secret" in str(each)]


def test_sigterm(broker: str) -> None:
    """SIGTERM lets a waiting POST have its answer, then ends the process with status 0."""
    with serving(broker) as shim:
        response: list[httpx.Response] = []
        with answering(broker, lambda *_: shim.process.terminate() or CREATED):  # type: ignore[func-returns-value]
            response.append(shim.http.post("/messages", content=b"{}"))
        assert response[0].status_code == 201
        assert shim.process.wait(LONG) == 0
