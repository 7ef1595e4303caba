"""A backlog of large runs: a worker stays within its memory, and an action does not wait for the end of it."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

from http_support import Shim, declare_topology, serving
from stack_support import ACTION, FIXTURES, Consumers

from ingest.soak.system import children, until
from schemas.settings import Settings
from tests import looking

MB = 1024 * 1024
MOST_BYTES = 200 * MB
"""What a worker may take at its peak, whatever the messages; as in docs/performance.md."""
MANY, LARGE = 200, 5
CAPTURE = json.loads((FIXTURES / "collector" / "chef-18.11.21__token_success.json").read_text())
[CONVERGE] = (
    json.loads(base64.b64decode(each["body_base64"]))
    for each in CAPTURE["requests"]
    if each["kind"] == "data_collector_run_converge"
)


def converges(size: int) -> Iterator[bytes]:
    """Ends of runs, each of a node of its own, so many bytes and more: a node object is the bulk of it."""
    run_id, name = str(uuid.uuid4()), "web.ponyville.example"
    automatic = CONVERGE["node"]["automatic"] | {
        "packages": {f"lib{each}-perl": {"version": "2.38-2+deb12u1", "arch": "amd64"} for each in range(size // 64)}
    }
    node = CONVERGE["node"] | {"name": name, "automatic": automatic}
    body = json.dumps(CONVERGE | {"id": run_id, "run_id": run_id, "node_name": name, "node": node}).encode()
    assert len(body) >= size
    while True:
        other = str(uuid.uuid4())
        yield body.replace(run_id.encode(), other.encode()).replace(name.encode(), f"{other}.example".encode())


def peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def take(shim: Shim) -> None:
    """Two hundred of 300 KB and five of 5 MB in the queue."""
    many, large = converges(300_000), converges(5 * MB)
    for number in range(MANY + LARGE):
        body = next(large if number % (MANY // LARGE + 1) == 0 else many)
        answer = shim.http.post("/data-collector/v0/", content=body, headers={"prefer": "respond-async"})
        assert answer.status_code == 202


def test_one_worker_takes_a_backlog_of_large_runs_within_its_memory_and_an_action_in_between(
    amqp_url: str, database_url: str
) -> None:
    """While the backlog is stored an action is answered 201, with most of it still to come."""
    declare_topology(amqp_url)

    def stored(table: str = "runs") -> int:
        return int(looking.rows(database_url, f"SELECT count(*) FROM {table}")[0][0])

    with serving(amqp_url, database_url, collector_action_wait_seconds=30) as shim:
        take(shim)
        consumers = Consumers(amqp_url, database_url, 1)
        try:
            until(lambda: stored() > 0, "the first ones are stored")
            before = stored()
            answer = shim.http.post("/data-collector/v0/", json=ACTION)
            meanwhile = stored() - before
            assert answer.status_code == 201
            assert meanwhile <= 3 * Settings().collector_prefetch
            until(lambda: stored() == MANY + LARGE, "all are stored")
            peaks = [peak(pid) for pid in children(consumers.process.pid)]
        finally:
            consumers.stop()
    assert max(peaks) < MOST_BYTES, [each // MB for each in peaks]
    assert (stored("nodes"), stored("dead_letters")) == (MANY + LARGE, 0)
