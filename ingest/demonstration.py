"""The demonstration: each answer the shim can give, on a captured chef-client's own bytes, then what is stored."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Final

from consumers.connect import connect
from consumers.declare import publish_once
from consumers.reading import count_rows

ARRIVAL_SECONDS: Final = 10.0

Say = Callable[[str], None]


def demonstrate(say: Say, *, ingest_url: str, amqp_url: str, database_url: str) -> bool:
    """Post, publish and read back; one line each through `say`. True when every answer was the right one."""
    action = json.loads(_file("action.json"))
    run = json.loads(_file("run.json"))
    start, end = run["requests"]
    run_id = end["path"].rpartition("/")[2]
    during = action | {
        "id": "5f0c54cb-2a5c-4b8f-9c9f-0d0e6f1a2b3c",
        "entity_name": "web01.ponyville.example",
        "remote_request_id": run_id,
    }
    nameless = action | {"entity_name": ""}
    steps: tuple[tuple[str, str, str, bytes | None, dict[str, str], int], ...] = (
        ("the documented example action", "POST", "/messages", json.dumps(action).encode(), {}, 201),
        ("the same action, read back", "GET", f"/actions/{action['id']}", None, {}, 200),
        (f"{run['client']} starts a run", "POST", start["path"], *_sent(start), 201),
        ("an action during that run: not stored", "POST", "/messages", json.dumps(during).encode(), {}, 200),
        ("the run ends (captured gzip bytes)", "POST", end["path"], *_sent(end), 201),
        (
            "an action with an empty name",
            "POST",
            "/messages",
            json.dumps(nameless).encode(),
            {},
            400,
        ),
    )
    right = True
    for what, method, path, body, headers, expected in steps:
        status, answer = _request(f"{ingest_url}{path}", method, body, headers)
        right &= status == expected
        say(f"  {status}  {what}\n       {method} {path}\n       {_shortened(answer)}")
    right &= _publish(say, amqp_url, ingest_url)
    counts = count_rows(database_url)
    say("stored: " + ", ".join(f"{count} {table}" for table, count in counts.items()))
    return right


def _publish(say: Say, amqp_url: str, ingest_url: str) -> bool:
    captured = json.loads(_file("publish.json"))
    body = base64.b64decode(captured["body_base64"])
    connection = connect(amqp_url, heartbeat=30, name="chef-ingest demonstration")
    publish_once(connection, captured["exchange"], captured["routing_key"], body)
    connection.close()
    path = f"/actions/{json.loads(body)['id']}"
    deadline = time.monotonic() + ARRIVAL_SECONDS
    status, answer = _request(ingest_url + path, "GET", None, {})
    while status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
        status, answer = _request(ingest_url + path, "GET", None, {})
    where = f"exchange {captured['exchange']!r}, key {captured['routing_key']!r}"
    say(f"  {status}  a Chef server's own publish ({where})\n       GET {path}\n       {_shortened(answer)}")
    return status == 200


def _sent(request: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    ours = {"host", "content-length", "connection"}
    headers = {name: value for name, value in request["headers"] if name.lower() not in ours}
    return base64.b64decode(request["body_base64"]), headers


def _request(url: str, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")


def _shortened(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"


def _file(name: str) -> bytes:
    return resources.files("ingest").joinpath("demo", name).read_bytes()
