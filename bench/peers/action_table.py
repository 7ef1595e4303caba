"""What the Python peers share: the table's columns, a message as a row, and one idempotent INSERT."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = (
    "id", "recorded_at", "organization_name", "entity_type", "entity_name", "parent_type", "parent_name",
    "task", "requestor_type", "requestor_name", "remote_hostname", "remote_request_id", "request_id",
    "service_hostname", "user_agent", "message_type", "message_version", "data",
)  # fmt: skip

_TYPES = {"id": "uuid", "recorded_at": "timestamptz", "data": "json"}

INSERT = """
WITH fresh AS (
    INSERT INTO action_ids (id, recorded_at) VALUES (%(id)s::uuid, %(recorded_at)s::timestamptz)
    ON CONFLICT (id) DO NOTHING RETURNING id)
INSERT INTO actions ({columns}) SELECT {values} FROM fresh
""".format(
    columns=", ".join(COLUMNS),
    values=", ".join(f"%({name})s::{_TYPES.get(name, 'text')}" for name in COLUMNS),
)


class Environment(NamedTuple):
    """What a peer is told: the servers, its queue, how many messages it may hold and commit together."""

    amqp_url: str
    database_url: str
    schema: dict[str, Any]
    queue: str
    prefetch: int
    batch: int


def read_environment() -> Environment:
    environ = os.environ
    return Environment(
        environ["AMQP_URL"],
        environ["DATABASE_URL"],
        json.loads(Path(environ["BENCH_SCHEMA"]).read_text("utf-8")),
        environ["BENCH_QUEUE"],
        int(environ["BENCH_PREFETCH"]),
        int(environ["BENCH_BATCH"]),
    )


def compact(value: Any) -> str:
    """JSON without needless blanks, the text that goes into the column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_row(message: Mapping[str, Any], dumps: Callable[[Any], str] = compact) -> dict[str, Any]:
    """A validated message as the parameters of INSERT."""
    row = {name: message.get(name) for name in COLUMNS}
    row["data"] = dumps(message["data"]) if "data" in message else None
    return row
