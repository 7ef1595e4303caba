"""GET of what is stored, from a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from http_support import Shim, answering, declare_topology, serving

ID = "b576b4a2-7b2a-43b8-b385-d6281e9a139e"
RUN_ID = "562c4230-1569-4003-a81f-8c0100231d65"
RUNS = "/organizations/acme/reports/nodes/web1/runs"
DATA = '{"name": "app1", "name": "twice", "big": 123456789012345678901234567890, "nul": "\\u0000"}'


@pytest.fixture
def shim(amqp_url: str, database_url: str) -> Iterator[Shim]:
    declare_topology(amqp_url)
    with psycopg.connect(database_url) as connection:
        _store(connection)
    with serving(amqp_url, database_url) as shim:
        yield shim


def _store(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO action_ids VALUES (%s, '1976-10-02T05:00:37Z')", [ID])
    connection.execute(
        """INSERT INTO actions (id, recorded_at, organization_name, entity_type, entity_name, task,
               requestor_type, requestor_name, remote_hostname, request_id, service_hostname, user_agent,
               message_type, message_version, data)
           VALUES (%s, '1976-10-02T05:00:37Z', NULL, 'node', 'app1', 'delete', 'user', 'rarity', '127.0.0.1',
               'r', '127.0.0.1', 'a', 'action', '0.1.1', %s)""",
        [ID, DATA],
    )
    connection.execute(
        """INSERT INTO runs (run_id, organization, node_name, status, start_time, end_time, run_list,
               total_res_count, updated_res_count, data)
           VALUES (%s, 'acme', 'web1', 'success', '2026-11-21T19:32:49Z', '2026-11-21T19:33:00Z', '["role[a]"]',
               5, 2, '{}')""",
        [RUN_ID],
    )
    for position in (1, 0):
        connection.execute(
            """INSERT INTO run_resources VALUES (%s, '2026-11-21T19:32:49Z', %s, 'file', %s, 'id', NULL, NULL, 12,
                   '{"a": null}', NULL, '', 'create')""",
            [RUN_ID, position, f"/tmp/{position}"],
        )


def test_action(shim: Shim) -> None:
    """A stored action comes back as it was sent, its data to the letter, by its id in either case."""
    for path in (f"/actions/{ID}", f"/actions/{ID.upper()}"):
        response = shim.http.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        action = response.json()
        assert (action["id"], action["recorded_at"]) == (ID, "1976-10-02T05:00:37Z")
        assert action["data"]["big"] == 123456789012345678901234567890


def test_no_such_action(shim: Shim) -> None:
    """What is not the id of a stored action is 404, whatever it is."""
    for path in (RUN_ID, "x", ID + "0", "%00", ID[:-1] + "%0A", f"%7B{ID}%7D"):
        assert shim.http.get(f"/actions/{path}").status_code == 404, path


def test_head(shim: Shim) -> None:
    """HEAD answers as GET does, without the body."""
    response = shim.http.head(f"/actions/{ID}")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) == len(shim.http.get(f"/actions/{ID}").content)


def test_run(shim: Shim) -> None:
    """A run comes back with its resources in the order they were sent."""
    run = shim.http.get(f"{RUNS}/{RUN_ID}").json()
    resources = run.pop("resources")
    assert run == {
        "run_id": RUN_ID,
        "organization": "acme",
        "node_name": "web1",
        "status": "success",
        "start_time": "2026-11-21T19:32:49Z",
        "end_time": "2026-11-21T19:33:00Z",
        "run_list": '["role[a]"]',
        "total_res_count": 5,
        "updated_res_count": 2,
        "data": {},
    }
    assert [each["name"] for each in resources] == ["/tmp/0", "/tmp/1"]
    assert resources[0] == {
        "type": "file",
        "name": "/tmp/0",
        "id": "id",
        "cookbook_name": None,
        "cookbook_version": None,
        "duration": "12",
        "before": {"a": None},
        "after": None,
        "delta": "",
        "result": "create",
    }


def test_no_such_run(shim: Shim) -> None:
    """A run is found only under its own organization, node and id."""
    for path in (
        f"/organizations/other/reports/nodes/web1/runs/{RUN_ID}",
        f"/organizations/acme/reports/nodes/web2/runs/{RUN_ID}",
        f"/organizations/acme/reports/nodes/%00/runs/{RUN_ID}",
        f"{RUNS}/{ID}",
        f"{RUNS}/x",
    ):
        assert shim.http.get(path).status_code == 404, path


def test_database_down(amqp_url: str) -> None:
    """Without a database a GET is 503 with Retry-After, while POSTs go on."""
    declare_topology(amqp_url)
    with serving(amqp_url) as shim, answering(amqp_url):
        response = shim.http.get(f"/actions/{ID}")
        assert response.status_code == 503
        assert "retry-after" in response.headers
        assert shim.http.post("/messages", content=b"{}").status_code == 201
