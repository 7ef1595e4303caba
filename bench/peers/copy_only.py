"""Limit: COPY of the same rows, rendered beforehand, into the same tables; 1000 a commit, and no broker."""

from __future__ import annotations

import json
import sys
import time

import psycopg
from action_table import COLUMNS, read_environment

from bench.corpus import Corpus

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def render(rows: list[tuple[str | None, ...]]) -> bytes:
    lines = ("\t".join("\\N" if cell is None else cell.translate(_ESCAPES) for cell in row) for row in rows)
    return "".join(line + "\n" for line in lines).encode()


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
        began = time.time()
        for ids, rows in batches:
            with database.transaction(), database.cursor() as cursor:
                with cursor.copy("COPY action_ids (id, recorded_at) FROM STDIN") as copy:
                    copy.write(ids)
                with cursor.copy(f"COPY actions ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                    copy.write(rows)
        print(json.dumps({"began": began, "ended": time.time(), "messages": count}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
