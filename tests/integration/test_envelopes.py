"""Whatever AMQP lets a sender put into an envelope ends as a row or a letter, and its neighbours never notice."""

from __future__ import annotations

import json
import random
import struct
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from raw_amqp import RawPublisher, Refused, long, short, table
from worker_support import Place, action

from ingest.soak.system import until

ENVELOPES = 2000
WINDOW = 10
"""Odd envelopes that are sent before their confirms are waited for; good neighbours go between."""

LONG_STRINGS = [b"", b"x", b"\xff\xfe", b"\0", b"\xed\xa0\x80", "\u202e\u00fc".encode(), b"\x1b[31m", b"{0}%s'"]
SHORT_STRINGS = [*LONG_STRINGS, b"x" * 255, b"\xff" * 255]
NAMES = [
    *SHORT_STRINGS, b"x-death", b"x-delivery-count", b"x-origin-exchange", b"x-origin-queue", b"x-door", b"x-letter-id",
    b"x-organization", b"x-node", b"x-retries", b"x-answer-by", b"x-given-up", b"traceparent", b"!table", b"!raw",
]  # fmt: skip
FIXED = {
    b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8,
    b"V": 0,
}  # fmt: skip
"""Types of fields and the bytes of their values."""

HEADERS, DELIVERY_MODE, PRIORITY, EXPIRATION, TIMESTAMP, USER = 13, 12, 11, 8, 6, 4
"""Bits of a property block's flags [AMQP 0-9-1, 4.2.6.1 and 1.8.3]."""


def field(draw: random.Random, levels: int) -> bytes:
    """A field of any type of the grammar, RabbitMQ's additions too."""
    kind = draw.choice(b"tbBsuIilLfdDSxATVF")
    letter = bytes([kind])
    if letter in FIXED:
        ends = [bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7, draw.randbytes(8)]
        if letter in b"fd":
            # A float that is no number RabbitMQ does not read: it ends the connection, and nothing is to be seen.
            ends = [bytes(8), b"\x7f\x7f" + b"\xff" * 6, b"\xc0" + draw.randbytes(7)]
        return letter + draw.choice(ends)[: FIXED[letter]]
    if letter in b"Sx":
        return letter + long(draw.choice(LONG_STRINGS))
    inner = [field(draw, levels - 1) for _ in range(draw.randint(0, 3))] if levels else []
    if letter == b"A":
        return b"A" + long(b"".join(inner))
    return b"F" + table([(draw.choice(NAMES), each) for each in inner])


def deep(draw: random.Random) -> bytes:
    """Arrays or tables within each other, up to hundreds of levels."""
    found = field(draw, 0)
    for _ in range(draw.choice([10, 31, 33, 100, 400, 2000])):
        found = b"A" + long(found) if draw.random() < 0.5 else b"F" + table([(b"n", found)])
    return found


def headers(draw: random.Random) -> bytes:
    """A header table: small, deep, or large."""
    shape = draw.random()
    if shape < 0.1:
        return table([(b"deep", deep(draw))])
    if shape < 0.15:
        return table([(b"h%d" % n, b"S" + long(b"x" * 900)) for n in range(draw.choice([20, 100, 135]))])
    return table([(draw.choice(NAMES), field(draw, 3)) for _ in range(draw.randint(0, 6))])


def block(draw: random.Random, user: bytes) -> tuple[int, bytes]:
    """Flags and encoded properties that a broker takes: it refuses an expiry that is no number, and others' users."""
    flags, encoded = 0, b""
    for bit in range(15, 1, -1):
        if draw.random() < (0.2 if bit == HEADERS else 0.7):
            continue
        flags |= 1 << bit
        if bit == HEADERS:
            encoded += headers(draw)
        elif bit in (DELIVERY_MODE, PRIORITY):
            encoded += bytes([draw.choice([1, 2] if bit == DELIVERY_MODE else [0, 1, 2, 9, 255])])
        elif bit == TIMESTAMP:
            encoded += struct.pack(">Q", draw.choice([0, 1, 2**31, 253402300800, 2**53, 2**63, 2**64 - 1]))
        elif bit == EXPIRATION:
            encoded += short(b"600000")
        elif bit == USER:
            encoded += short(user)
        else:
            encoded += short(draw.choice([*SHORT_STRINGS, b"gzip", b"run_start", b"ping", b"ingest.actions", b"60000"]))
    return flags, encoded


def named(number: int) -> bytes:
    """A body that is told from all others by its id, good or bad."""
    return action(id=str(uuid.UUID(int=number)), **({"task": "no such task"} if number % 3 == 0 else {}))


@pytest.fixture
def place(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    return Place(amqp_url, database_url, tmp_path)


@pytest.mark.timeout(300)
def test_any_envelope_is_a_row_or_a_letter_and_its_neighbours_are_stored(place: Place) -> None:
    """2,000 envelopes of the whole grammar, good and bad bodies, good neighbours: nobody dies, all is kept once."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"the envelopes are those of random.Random({seed})")
    draw = random.Random(seed)
    user = unquote(urlsplit(place.amqp_url).username or "guest").encode()
    line = RawPublisher(place.amqp_url)
    refused: Counter[str] = Counter()

    def kept() -> int:
        rows = place.one("SELECT count(*) FROM actions WHERE id < '00000000-0000-0000-0001-000000000000'")
        return int(rows) + int(place.one("SELECT count(*) FROM dead_letters"))

    neighbours: list[bytes] = []
    taken: list[bytes] = []
    with place.consuming() as worker:
        for at in range(1, 4 * ENVELOPES, WINDOW):
            if at % (10 * WINDOW) == 1:
                neighbours += (good := [action() for _ in range(20)])
                place.publish(good, "actions", "erchef.node.update")
            try:
                for number in range(at, at + WINDOW):
                    key = b"erchef." + draw.choice(SHORT_STRINGS)[:200]
                    line.send(b"actions", key, named(number), *block(draw, user))
                line.confirmed()
            except Refused as reason:
                # What came before it is taken, known by its confirm or not.
                refused[str(reason)[:60]] += 1
                taken += line.taken
                line.close()
                line = RawPublisher(place.amqp_url)
            if len(taken) + len(line.taken) >= ENVELOPES:
                break
        taken += line.taken
        line.close()
        assert len(taken) >= ENVELOPES, f"the broker refused {refused}"

        until(lambda: place.messages("ingest.actions") == 0 and kept() >= len(taken), "a row or a letter each")
        assert worker.poll() is None
        assert place.messages("ingest.parked") == 0
    stored = {str(row[0]) for row in place.rows("SELECT id FROM actions")}
    assert {json.loads(body)["id"] for body in neighbours} <= stored
    letters = Counter(bytes(row[0]) for row in place.rows("SELECT payload FROM dead_letters"))
    assert [body for body in taken if letters[body] + (json.loads(body)["id"] in stored) != 1] == []
    assert place.one("SELECT count(*) FROM dead_letters WHERE kind <> 'action' OR door <> 'chef'") == 0
    assert place.one("SELECT count(*) FROM dead_letters WHERE reason = 'exception'") == 0
