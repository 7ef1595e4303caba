"""The demonstration: each answer the shim can give, on a captured chef-client's own bytes, then what is stored."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from consumers.broker.publisher import publishing
from ingest.access import tokens
from ingest.diagnostics.row_counts import count_rows
from ingest.local.shim_client import ShimClient
from schemas.settings import ConfigError, Settings

ARRIVAL_SECONDS: Final = 60.0

Say = Callable[[str], None]


def credentials(settings: Settings) -> Mapping[str, str]:
    """The headers that say who demonstrates. Raises ConfigError where the shim would not let the demonstration in."""
    if settings.tls_client_ca:
        raise ConfigError(["--demo shows no client certificate, and INGEST_TLS_CLIENT_CA wants one: leave one out"])
    if settings.auth == "none":
        return {}
    if not settings.tokens_file:
        fault = f"--demo can't sign as a Chef client, and INGEST_AUTH is {settings.auth}: leave --demo out, or"
        raise ConfigError([f"{fault} set INGEST_AUTH to any, INGEST_TOKENS_FILE and INGEST_DEMO_TOKEN"])
    known = tokens.read(Path(settings.tokens_file)).tokens or ()
    token = tokens.find(known, settings.demo_token.encode())
    if token is None or token.scopes < frozenset(tokens.SCOPES) or token.organizations:
        why = "is in no line of INGEST_TOKENS_FILE" if token is None else f"({token.name}) may not do all that is shown"
        remedy = f"give it a secret made by `chef-ingest token new demo --scope {','.join(tokens.SCOPES)}`"
        raise ConfigError([f"--demo: INGEST_DEMO_TOKEN {why if settings.demo_token else 'is not set'}: {remedy}"])
    return {"Authorization": f"Bearer {settings.demo_token}"}


def demonstrate(say: Say, *, shim: ShimClient, amqp_url: str, database_url: str) -> bool:
    """Post, publish and read back; one line each through `say`. True when every answer was the right one."""
    action = json.loads(_file("action.json"))
    run = json.loads(_file("run.json"))
    start, end = run["requests"]
    collected = json.loads(_file("collected.json"))
    begun, converged = (("POST", each["path"], *_sent(each), 201) for each in collected["requests"])
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
        (f"{collected['client']} tells a data collector that a run starts", *begun),
        ("and how it ended: its node, all resources", *converged),
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
        status, answer = shim.send(path, method, body, headers)
        right &= status == expected
        say(f"  {status}  {what}\n       {method} {path}\n       {_shortened(answer)}")
    right &= _publish(say, amqp_url, shim)
    counts = count_rows(database_url)
    say("stored: " + ", ".join(f"{count} {table}" for table, count in counts.items()))
    return right


def _publish(say: Say, amqp_url: str, shim: ShimClient) -> bool:
    captured = json.loads(_file("publish.json"))
    body = base64.b64decode(captured["body_base64"])
    with publishing(amqp_url, heartbeat=30, name="chef-ingest demonstration") as publisher:
        publisher.publish(captured["exchange"], captured["routing_key"], body)
    path = f"/actions/{json.loads(body)['id']}"
    deadline = time.monotonic() + ARRIVAL_SECONDS
    status, answer = shim.send(path, "GET", None, {})
    while status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
        status, answer = shim.send(path, "GET", None, {})
    where = f"exchange {captured['exchange']!r}, key {captured['routing_key']!r}"
    say(f"  {status}  a Chef server's own publish ({where})\n       GET {path}\n       {_shortened(answer)}")
    return status == 200


def _sent(request: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    ours = {"host", "content-length", "connection"}
    headers = {name: value for name, value in request["headers"] if name.lower() not in ours}
    return base64.b64decode(request["body_base64"]), headers


def _shortened(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"


def _file(name: str) -> bytes:
    return resources.files("ingest").joinpath("demo", name).read_bytes()
