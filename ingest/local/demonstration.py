"""The demonstration: each answer the shim can give, on a captured chef-client's own bytes, then what is stored."""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import sys
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
SCOPES: Final = ("actions", "runs", "read")
"""What the demonstration's token has to be allowed."""

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
    if token is None or token.scopes < frozenset(SCOPES) or token.organizations:
        why = "is in no line of INGEST_TOKENS_FILE" if token is None else f"({token.name}) may not do all that is shown"
        remedy = f"give it a secret made by `chef-ingest token new demo --scope {','.join(SCOPES)}`"
        raise ConfigError([f"--demo: INGEST_DEMO_TOKEN {why if settings.demo_token else 'is not set'}: {remedy}"])
    return {"Authorization": f"Bearer {settings.demo_token}"}


def terminal_columns() -> int:
    """How long a line may be: all of a terminal's columns; elsewhere what shows the answers well."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 170


def demonstrate(say: Say, *, shim: ShimClient, amqp_url: str, database_url: str, columns: int) -> bool:
    """Post, publish and read back; lines of `columns` at most through `say`. True when every answer was right."""
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
        _tell(say, columns, status, what, f"{method} {path}", answer)
    right &= _publish(say, columns, amqp_url, shim)
    counts = count_rows(database_url)
    say("stored: " + ", ".join(f"{count} {table}" for table, count in counts.items()))
    return right


def _publish(say: Say, columns: int, amqp_url: str, shim: ShimClient) -> bool:
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
    _tell(say, columns, status, f"a Chef server's own publish ({where})", f"GET {path}", answer)
    return status == 200


def _sent(request: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    ours = {"host", "content-length", "connection"}
    headers = {name: value for name, value in request["headers"] if name.lower() not in ours}
    return base64.b64decode(request["body_base64"]), headers


def _tell(say: Say, columns: int, status: int, what: str, request: str, answer: str) -> None:
    for line in (f"  {status}  {what}", f"       {request}", f"       {answer.rstrip()}"):
        say(line if len(line) <= columns else f"{line[: columns - 1]}…")


def tell_where_to_go(say: Say, url: str, state: Path, *, logs: bool, console: str) -> None:
    """What serves now, and what to type next, in lines for any terminal."""
    ours = _program()
    say(f"\nlistening at {url}; Ctrl-C stops everything.")
    if console:
        say(f"the operator's page: {console}")
    if not logs:
        say(f"logs: {state}/logs")
    say("in another terminal, in this folder:")
    if state != Path(".local"):
        say(f"  export INGEST_STATE={shlex.quote(str(state))}")
    commands = {
        f"curl {url}/": "what answers there",
        f"{ours} status": "how it is",
        f"{ours} dead list": "what could not be stored, and why",
        f'eval "$({ours} env)"': "AMQP_URL, DATABASE_URL, INGEST_URL",
    }
    width = max(len(command) for command in commands)
    for command, meaning in commands.items():
        say(f"  {command:<{width}}  # {meaning}")


def _program() -> str:
    """As it can be typed here."""
    me = Path(sys.argv[0])
    if me.name != "chef-ingest" or shutil.which("chef-ingest"):
        return "chef-ingest"
    return os.path.relpath(me) if me.is_relative_to(Path.cwd()) else str(me)


def _file(name: str) -> bytes:
    return resources.files("ingest").joinpath("demo", name).read_bytes()
