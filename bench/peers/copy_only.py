"""Limit: COPY BINARY of the same rows, rendered beforehand, into the same tables; 1000 a commit, and no broker."""

from __future__ import annotations

import json
import struct
import sys
import time
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from action_table import COLUMNS, read_environment

from bench.corpus import Corpus

_BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def render(rows: list[tuple[str | None, ...]]) -> bytes:
    """Rows that begin with a UUID and a time; all else is text, or JSON, which is its text."""
    return _BEGIN + b"".join(map(_tuple, rows)) + _END


def _tuple(row: tuple[str | None, ...]) -> bytes:
    microseconds = int((datetime.fromisoformat(row[1]) - _EPOCH).total_seconds()) * 1_000_000
    cells = [UUID(row[0]).bytes, struct.pack("!q", microseconds)]
    cells += [None if cell is None else cell.encode() for cell in row[2:]]
    fields = (_NULL if cell is None else struct.pack("!i", len(cell)) + cell for cell in cells)
    return struct.pack("!h", len(row)) + b"".join(fields)


def main(mixture: str, seed: int, start: int, count: int) -> None:
    environment = read_environment()
    corpus = Corpus(mixture, seed)
    batches = []
    for first in range(start, start + count, environment.batch):
        rows = sorted(corpus.row(n) for n in range(first, min(first + environment.batch, start + count)))
        batches.append((render([row[:2] for row in rows]), render(rows)))
    with psycopg.connect(environment.database_url, autocommit=True) as database:
        print("ready", flush=True)
        sys.stdin.readline()
        began, cpu = time.time(), time.process_time()
        for ids, rows in batches:
            with database.transaction(), database.cursor() as cursor:
                with cursor.copy("COPY action_ids (id, recorded_at) FROM STDIN (FORMAT binary)") as copy:
                    copy.write(ids)
                with cursor.copy(f"COPY actions ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)") as copy:
                    copy.write(rows)
        print(json.dumps({"began": began, "ended": time.time(), "cpu": time.process_time() - cpu}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
