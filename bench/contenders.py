"""Who competes in the drain: each a full program, and how it is started."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.children import ROOT
from bench.publish import CELERY_QUEUE
from schemas.topology import ACTIONS

PREFETCH: Final = 2000
BATCH: Final = 1000
"""What our worker takes by default (`batch_messages`, twice that as prefetch), for everybody."""

PEERS: Final = ROOT / "bench" / "peers"
OURS: Final = "ours"
NOTHING: Final = "pika nothing"


@dataclass(frozen=True, slots=True)
class Contender:
    """A consumer program. `argv` may hold `{python}` (the peers' own), `{index}` and `{count}`.

    `share` of the messages is what it gets in a drain: a slow one shows its rate with fewer.
    """

    name: str
    argv: Sequence[str]
    queue: str = ACTIONS
    share: float = 1.0

    def commands(self, home: Path, processes: int, count: int) -> dict[str, list[str]]:
        """Process name -> its command line."""
        python = home / "venv" / "bin" / "python"
        return {
            f"{self.name} {index}": [each.format(python=python, index=index, count=count) for each in self.argv]
            for index in range(processes)
        }


def environment(home: Path, amqp_url: str, database_url: str, queue: str = ACTIONS) -> dict[str, str]:
    """What a contender is told; ours reads the two URLs and nothing else."""
    return {
        "AMQP_URL": amqp_url,
        "DATABASE_URL": database_url,
        "BENCH_QUEUE": queue,
        "BENCH_PREFETCH": str(PREFETCH),
        "BENCH_BATCH": str(BATCH),
        "BENCH_SCHEMA": str(ROOT / "schemas" / "kinds" / "action" / "wire.json"),
        "BENCH_NODE_HOME": str(home),
    }


def _python(file: str, *arguments: str) -> list[str]:
    return ["{python}", str(PEERS / file), *arguments]


_CELERY = [
    "{python}", "-m", "celery", "-A", "celery_peer", "--workdir", str(PEERS), "worker", "--pool", "solo",
    "-Q", CELERY_QUEUE, "-n", "bench{index}@%h", "-l", "warning",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
]  # fmt: skip

CONTENDERS: Final = {
    each.name: each
    for each in (
        Contender(OURS, [sys.executable, "-m", "ingest", "worker", "--lane", "main"]),
        Contender("naive", _python("naive.py"), share=0.15),
        Contender("faststream", _python("faststream_peer.py"), share=0.3),
        Contender("aio-pika+asyncpg", _python("aio_pika_asyncpg.py")),
        Contender("celery", _CELERY, CELERY_QUEUE, share=0.3),
        Contender("node", ["node", str(PEERS / "node_peer.mjs")]),
        Contender(NOTHING, _python("pika_nothing.py", "{count}")),
    )
}
