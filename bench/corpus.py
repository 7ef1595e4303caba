"""The benchmark's messages: seeded, in the shapes Chef servers publish, and the row each must become."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench import shapes

NAMES: Final = (
    "id", "recorded_at", "organization_name", "entity_type", "entity_name", "parent_type", "parent_name",
    "task", "requestor_type", "requestor_name", "remote_hostname", "remote_request_id", "request_id",
    "service_hostname", "user_agent", "message_type", "message_version", "data",
)  # fmt: skip
"""Columns of `actions` that a message fills, in the order of a row here."""

EPOCH: Final = datetime(2026, 11, 2, tzinfo=UTC)
"""The first recorded_at. A constant, so that a seed says everything."""
WINDOW_SECONDS: Final = 14 * 24 * 3600
SERVER: Final = "chef.bench.example"
BLOCK: Final = 100
"""Any stretch of this many messages has the whole mixture in it."""

_BLOCKS: Final = 50
_SLOT: Final = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Template:
    """A message without its id: bytes before and after it, and its row's other values (None is NULL)."""

    head: bytes
    tail: bytes
    routing_key: str
    values: tuple[str | None, ...]


@dataclass(frozen=True)
class Corpus:
    """An endless, reproducible row of messages, numbered from 0; none has the id of another.

    `mixture` is `mix` (90 % of about 0.9 KB, 9 % of 5-20 KB, 1 % node saves of 100-200 KB), `small`, `http` (small,
    and valid by the schema that holds for POSTs), or a number: node saves of so many bytes.
    """

    mixture: str = "mix"
    seed: int = 1
    _blocks: dict[int, list[Template]] = field(default_factory=dict, repr=False, compare=False)

    def id(self, number: int) -> str:
        """A version 4 UUID as random as real ones: how an index takes them depends on it."""
        text = hashlib.md5(f"{self.mixture}/{self.seed}/{number}".encode()).hexdigest()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def message(self, number: int) -> bytes:
        """The payload."""
        template = self.template(number)
        return template.head + self.id(number).encode() + template.tail

    def template(self, number: int) -> Template:
        index, place = divmod(number, 1 if self.mixture.isdecimal() else BLOCK)
        index %= _BLOCKS
        # A block is made when it is first asked for: a short stretch needs few of them.
        if index not in self._blocks:
            self._blocks[index] = list(self._block(random.Random(f"{self.mixture}/{self.seed}/{index}")))
        return self._blocks[index][place]

    def row(self, number: int) -> tuple[str | None, ...]:
        """What the message must be once stored, in the order of NAMES."""
        return (self.id(number), *self.template(number).values)

    def digest(self, start: int, count: int) -> int:
        """Of the rows of messages `start` to `start + count`, in any order; PostgreSQL computes the same of its own."""
        total = 0
        for number in range(start, start + count):
            cells = ["\x1e" if value is None else value for value in self.row(number)]
            total += int(hashlib.md5("\x1f".join(cells).encode()).hexdigest()[:15], 16)
        return total

    def _block(self, chance: random.Random) -> Iterator[Template]:
        if self.mixture.isdecimal():
            yield _template(shapes.node_save(chance, int(self.mixture)), chance)
            return
        makers: list[Callable[[random.Random], dict[str, Any]]]
        choices = shapes.DOCUMENTED if self.mixture == "http" else shapes.SMALL
        makers = [choices[each % len(choices)] for each in range(BLOCK)]
        if self.mixture == "mix":
            makers[:10] = [shapes.node_save, *([shapes.cookbook_version] * 9)]
        chance.shuffle(makers)
        for maker in makers:
            yield _template(maker(chance), chance)


def _template(members: dict[str, Any], chance: random.Random) -> Template:
    moment = EPOCH + timedelta(seconds=chance.randrange(WINDOW_SECONDS))
    message = shapes.envelope(
        members, chance, id=_SLOT, recorded_at=moment.strftime("%Y-%m-%dT%H:%M:%SZ"), service_hostname=SERVER
    )
    head, tail = compact(message).encode().split(_SLOT.encode())
    values = [compact(message["data"]) if name == "data" else message.get(name) for name in NAMES[1:]]
    return Template(head, tail, f"erchef.{message['entity_type']}.{message['task']}", tuple(values))


def compact(value: Any) -> str:
    """JSON as Chef servers write it; also what every language's encoder makes of it again."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
