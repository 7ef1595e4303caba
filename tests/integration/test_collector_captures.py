"""What real clients and a Chef server sent to both doors, byte for byte in the order in which it came, and again."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from erchef import Erchef
from stack_support import ACTION, FIXTURES, System, running

from ingest.soak.proxy import Proxy

CAPTURES = {path.stem: json.loads(path.read_text()) for path in sorted((FIXTURES / "collector").glob("*.json"))}
TOKEN = "ponyville-collector-7Qx2mV9d"
NOT_OURS = {"host", "content-length", "connection"}
RUN = """
SELECT organization, node_name, status, to_char(start_time AT TIME ZONE 'UTC', 'HH24:MI:SS'),
       to_char(end_time AT TIME ZONE 'UTC', 'HH24:MI:SS'), started_by, ended_by, total_res_count, updated_res_count,
       run_list::json ->> 0, data -> 'exception' ->> 'class', reboot IS NOT NULL, door_mismatch, start_guessed,
       end_guessed, entity_uuid, source, chef_server_fqdn,
       (SELECT array_agg(name || ' ' || status ORDER BY position) FROM run_resources r
        WHERE r.run_id = runs.run_id AND r.start_time = runs.start_time)
FROM runs WHERE run_id = %s
"""
PONYVILLE = ("ponyville",)
HERE = ("chef_client", "chef.ponyville.example")
FILES = ["/srv/app/web updated", "/srv/app/web/motd updated", "date > stamp updated"]
REBOOTED = ["/srv/app/kernel updated", "new kernel updated"]
BOTH, AS_SENT = ("both", "both"), (False, False, False)
# fmt: off
EXPECTED: dict[str, tuple[Any, ...]] = {
    "chef-14.14.46__signed_success": (
        "ponyville", "web14.ponyville.example", "success", "00:57:23", "00:57:24", *BOTH, 4, 3, "recipe[app]", None,
        False, *AS_SENT, "1f2e3d4c-5b6a-4798-8f9e-14a0b1c2d300", *HERE, FILES,
    ),
    "chef-16.18.30__missing_role": (
        "ponyville", "web16.ponyville.example", "failure", "00:48:44", "00:48:44", "collector", "collector", 0, 0,
        "role[lost]", "Chef::Exceptions::MissingRole", False, *AS_SENT, "5d0c1b7e-8a61-4a2f-9a1c-16f0a3c41801", *HERE,
        None,
    ),
    "chef-17.10.0__compliance_token": (
        "ponyville", "cmp-17-10-0.ponyville.example", "success", "00:55:12", "00:55:13", *BOTH, 1, 0,
        "recipe[app::nothing]", None, False, *AS_SENT, "c2f7a0de-3b44-4b0d-8d52-17e2b9c81702", *HERE, None,
    ),
    "chef-18.11.21__reboot": (
        "ponyville", "web18.ponyville.example", "success", "00:54:52", "00:54:53", *BOTH, 2, 2,
        "recipe[app::reboot]", None, True, *AS_SENT, "7b1f6c52-94ad-4b0e-8f3d-18b2c4d6e804", *HERE, REBOOTED,
    ),
    "chef-18.11.21__token_success": (
        "ponyville", "web18.ponyville.example", "success", "00:46:11", "00:46:12", *BOTH, 4, 3, "recipe[app]", None,
        False, *AS_SENT, "7b1f6c52-94ad-4b0e-8f3d-18b2c4d6e804", *HERE, FILES,
    ),
    "chef-18.11.21__with_erchef": (
        "ponyville", "born-18-11-21.ponyville.example", "success", "01:09:10", "01:09:11", *BOTH, 2, 1,
        "recipe[app::bag]", None, False, *AS_SENT, "7b1f6c52-94ad-4b0e-8f3d-18b2c4d6e804", *HERE,
        ["data bag updated"],
    ),
}
# fmt: on


def key_of(capture: dict[str, Any]) -> str:
    """The public key that its client signs with: one made at its first run is in what it asked the server for."""
    for request in capture["requests"]:
        if request["kind"] == "client_create":
            return str(json.loads(base64.b64decode(request["body_base64"]))["public_key"])
    return (FIXTURES / "collector" / "client_public_key.pem").read_text()


@pytest.fixture(scope="module")
def system(vhost_pool: Any, databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that asks who is there; the captured signatures are old, and their times are taken as they are."""
    folder: Path = tmp_path_factory.mktemp("collector")
    (folder / "keys" / "ponyville").mkdir(parents=True)
    for capture in CAPTURES.values():
        (folder / "keys" / "ponyville" / f"{capture['node']}.pem").write_text(key_of(capture))
    (folder / "tokens").write_text(f"chef-server {hashlib.sha256(TOKEN.encode()).hexdigest()} actions,runs\n")
    amqp_url, database_url = vhost_pool.take(), databases.create(migrated=True)
    with running(
        amqp_url, database_url, workers=2, auth="any", client_keys=folder / "keys", tokens_file=folder / "tokens",
        signature_skew_seconds=10**9, wait_seconds=30, collector_action_wait_seconds=30,
    ) as system:  # fmt: skip
        yield system
    databases.drop(database_url)
    vhost_pool.give_back(amqp_url)


def post(system: System, capture: dict[str, Any]) -> list[tuple[str, int]]:
    """Kind and answer of each request that is for us, sent as it was recorded."""
    answers = []
    for request in capture["requests"]:
        if request["kind"] in capture["expected"]:
            fields = {name: value for name, value in request["headers"] if name.lower() not in NOT_OURS}
            answer = system.http.request(
                request["method"], request["path"], content=base64.b64decode(request["body_base64"]), headers=fields
            )
            assert answer.headers["content-type"] == "application/json"
            assert isinstance(answer.json(), dict)
            answers.append((request["kind"], answer.status_code))
    return answers


@pytest.mark.parametrize("name", CAPTURES)
def test_a_captured_run_is_one_merged_row_and_no_letter_also_when_it_comes_again(system: System, name: str) -> None:
    """Each request is answered as its sender wants it; all of it again changes no row."""
    capture = CAPTURES[name]
    answers = post(system, capture)
    preferred = capture["expected"]["preferred"]
    assert {kind: code for kind, code in answers if kind != "data_collector_action"} == {
        kind: code for kind, code in preferred.items() if kind != "data_collector_action"
    }
    assert system.rows(RUN, capture["run_id"]) == [EXPECTED[name]]
    whole = everything(system)
    for kind, code in post(system, capture):
        assert code in capture["expected"][kind], (kind, code)
    assert everything(system) == whole
    assert system.rows("SELECT reason, details::text FROM dead_letters") == []


def everything(system: System) -> list[list[tuple[Any, ...]]]:
    """Every row of what was stored."""
    return [
        system.rows(f"SELECT row_to_json({table}.*)::text FROM {table} ORDER BY 1")
        for table in ("actions", "runs", "run_resources", "compliance_reports")
    ]


def test_what_a_node_does_before_its_run_begins_is_stored_and_what_it_does_in_it_is_not(system: System) -> None:
    """Of a node's first run the two actions of its birth are kept, though they carry the run's id."""
    capture = CAPTURES["chef-18.11.21__with_erchef"]
    codes = [code for kind, code in post(system, capture) if kind == "data_collector_action"]
    stored = system.rows(
        "SELECT task, entity_type FROM actions WHERE remote_request_id = %s ORDER BY entity_type", capture["run_id"]
    )
    assert stored == [("create", "client"), ("create", "node")]
    assert codes[2:] == [200, 200, 200]


def test_a_node_is_one_row_that_knows_its_last_run(system: System) -> None:
    """Of two runs of one node told in turn, the later one is its last, though the other is told again."""
    for name in ("chef-18.11.21__token_success", "chef-18.11.21__reboot", "chef-18.11.21__token_success"):
        post(system, CAPTURES[name])
    [(last, status)] = system.rows(
        "SELECT run_id::text, status FROM nodes WHERE organization = 'ponyville' AND name = %s",
        CAPTURES["chef-18.11.21__reboot"]["node"],
    )
    assert (last, status) == (CAPTURES["chef-18.11.21__reboot"]["run_id"], "success")


def test_a_compliance_report_is_kept_with_its_node_and_its_counts(system: System) -> None:
    """One row a report; the search that goes before it lacks every profile."""
    capture = CAPTURES["chef-17.10.0__compliance_token"]
    post(system, capture)
    [request] = [each for each in capture["requests"] if each["kind"] == "compliance_metasearch"]
    body = base64.b64decode(request["body_base64"])
    answer = system.http.post(request["path"], content=body, headers={"x-data-collector-token": TOKEN})
    assert answer.json() == {"missing_sha256": json.loads(body)["sha256"]}
    assert system.rows("SELECT node_name FROM compliance_reports") == [(capture["node"],)]


def test_a_chef_server_whose_connection_breaks_under_it_sends_the_same_bytes_again_and_they_are_one_row(
    system: System,
) -> None:
    """The answer to a stored action is cut off; no other failure is tried again, and the health it asks for is good."""
    first, second, third = (ACTION | {"id": str(uuid.uuid4())} for _ in range(3))
    with Proxy(int(system.shim.listen.rpartition(":")[2])) as proxy:
        server = Erchef(f"127.0.0.1:{proxy.port}", TOKEN)
        assert server.healthy()
        assert server.notify(first) == 201
        proxy.cut(after_bytes=1)
        assert server.notify(second) == 201
        assert server.dropped == []
        proxy.cut()
        proxy.set(refuse=True)
        assert server.notify(third) is None
        assert not server.healthy()
        server.close()
    assert server.dropped == [json.dumps(third).encode()]
    ids = [each["id"] for each in (first, second, third)]
    assert system.rows("SELECT id::text FROM actions WHERE id = ANY(%s::uuid[]) ORDER BY stored_at", ids) == [
        (first["id"],), (second["id"],),
    ]  # fmt: skip
    assert system.rows("SELECT reason FROM dead_letters") == []
