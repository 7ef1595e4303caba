"""The messages a run sends: actions, whole chef-client runs, and messages that can only become letters; pure."""

from __future__ import annotations

import gzip
import json
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ingest.soak.ledger import Expected, Key

ORGANIZATION: Final = "ponyville"
COLLECTOR_PATH: Final = "/data-collector/v0/"
PROTOCOL: Final = {"X-Ops-Reporting-Protocol-Version": "0.1.0"}


@dataclass(frozen=True, slots=True)
class Sending:
    """One message as its sender would send it.

    `path` is where it is POSTed, `mark` the value that tells its row from another body's under the same key.
    """

    key: Key
    path: str
    body: bytes
    fate: Expected = "row"
    mark: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    routing_key: str = "erchef.node.update"


Script = tuple[Sending, ...]
"""Messages that one sender sends one after the other, and leaves off when one is refused."""


class Workload:
    """Makes messages; the same seed makes the same ones. `today` is the time they say they were recorded."""

    def __init__(self, seed: int, today: datetime) -> None:
        self._random = random.Random(seed)
        self._today = today.astimezone(UTC)

    def actions(self, count: int | None = None, *, data_bytes: int = 400) -> Iterator[Script]:
        """So many scripts of one action each; without end when `count` is None."""
        numbers: Iterable[int] = range(count) if count is not None else iter(int, 1)
        for _ in numbers:
            yield (self.action(data_bytes=data_bytes),)

    def action(self, id: str | None = None, *, data_bytes: int = 400, **changes: Any) -> Sending:
        """An action of a user; `changes` are members given another value."""
        id = id or self._uuid()
        document = self._document(id, data_bytes) | changes
        return Sending(("action", id), "/messages", _json(document), mark=str(document["entity_name"]))

    def letter(self) -> Sending:
        """An action that its schema refuses: 400 to who waits, a dead letter in any case."""
        id = self._uuid()
        document = self._document(id, 50) | {"task": "explode"}
        return Sending(("letter", id), "/messages", _json(document), "letter")

    def run(self, resources: int = 3) -> Script:
        """A run as chef-client reports it: its start, an action during it, which is not stored, and its end."""
        run_id, node = self._uuid(), f"node{self._random.randrange(10_000)}.{ORGANIZATION}.example"
        base = f"/organizations/{ORGANIZATION}/reports/nodes/{node}/runs"
        began = self._time()
        start = {"action": "start", "run_id": run_id, "start_time": began}
        end = {
            "action": "end",
            "resources": [_resource(number) for number in range(resources)],
            "status": "success",
            # No two alike: a letter is known by its body.
            "run_list": f'["recipe[app::{run_id}]"]',
            "total_res_count": str(resources),
            "data": {},
            "start_time": began,
            "end_time": began,
        }
        during = self._document(self._uuid(), 100) | {"remote_request_id": run_id}
        return (
            Sending(("run_start", run_id), base, _json(start), mark=node, headers=PROTOCOL),
            Sending(("action", during["id"]), "/messages", _json(during), "skip", during["entity_name"]),
            Sending(
                ("run_end", run_id),
                f"{base}/{run_id}",
                gzip.compress(_json(end), mtime=0),
                mark=node,
                headers={**PROTOCOL, "Content-Encoding": "gzip"},
            ),
        )

    def collected_run(self, resources: int = 3) -> Script:
        """The same by the data collector's door, its end with the node and all resources."""
        run_id, node = self._uuid(), f"node{self._random.randrange(10_000)}.{ORGANIZATION}.example"
        began = self._time()
        told = {
            "chef_server_fqdn": "chef.ponyville.example",
            "entity_uuid": self._uuid(),
            "id": run_id,
            "run_id": run_id,
            "node_name": node,
            "organization_name": ORGANIZATION,
            "source": "chef_client",
            "start_time": began,
        }
        changed = {"status": "updated", "ignore_failure": False, "recipe_name": "default"}
        end = {
            "message_type": "run_converge",
            "message_version": "1.1.0",
            "end_time": began,
            "status": "success",
            "run_list": [f"recipe[app::{run_id}]"],
            "expanded_run_list": {},
            "node": {"name": node, "chef_environment": "_default", "automatic": {"uptime": self._random.random()}},
            "resources": [_resource(number) | changed for number in range(resources)],
            "total_resource_count": resources,
            "updated_resource_count": resources,
        }
        during = self._document(self._uuid(), 100) | {"remote_request_id": run_id}
        start = told | {"message_type": "run_start", "message_version": "1.0.0"}
        return (
            Sending(("run_start", run_id), COLLECTOR_PATH, _json(start), mark=node),
            Sending(("action", during["id"]), COLLECTOR_PATH, _json(during), "skip", during["entity_name"]),
            Sending(("run_end", run_id), COLLECTOR_PATH, _json(told | end), mark=node),
        )

    def _document(self, id: str, data_bytes: int) -> dict[str, Any]:
        name = f"app-{id[:8]}-{self._random.randrange(1_000_000)}"
        return {
            "message_type": "action",
            "message_version": "0.1.1",
            "organization_name": ORGANIZATION,
            "service_hostname": "chef.ponyville.example",
            "recorded_at": self._time(),
            "remote_hostname": "127.0.0.1",
            "request_id": f"g3IAA2QA{self._random.randrange(10**12)}",
            "requestor_name": "rarity",
            "requestor_type": "user",
            "user_agent": "Chef Knife/16.18.30 (ruby-2.7.8-p225)",
            "id": id,
            "task": "update",
            "entity_type": "node",
            "entity_name": name,
            "remote_request_id": self._uuid(),
            "data": {"name": name, "filler": "x" * data_bytes},
        }

    def _time(self) -> str:
        then = self._today - timedelta(seconds=self._random.randrange(3600))
        return then.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def _resource(number: int) -> dict[str, Any]:
    path = f"/etc/app/{number}"
    known = {"type": "file", "name": path, "id": path, "cookbook_name": "app", "cookbook_version": "1.0.0"}
    return known | {"before": {}, "after": {"mode": "0644"}, "duration": "15", "delta": "", "result": "create"}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
