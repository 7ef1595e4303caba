"""Bodies that nobody should send: random bytes, spoiled messages, JSON's and gzip's traps; pure."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ingest.soak.ledger import digest
from ingest.soak.workload import Script, Sending

GZIP: Final = {"Content-Encoding": "gzip"}

_VALUES: Final[Sequence[str]] = (
    "null", "true", "0", "-1", "1_0", "NaN", "Infinity", "-Infinity", "1e999", "1.0", "[]", "{}", '""', '" "',
    '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"2026-13-45T99:99:99Z"', '"{b576b4a2-7b2a-43b8-b385-d6281e9a139e}"',
    '"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:60Z"', '"x\\n"', '"\u0661"', "9" * 5000, '{"a":1,"a":2}',
    "[" * 300 + "]" * 300, '"' + "x" * 70_000 + '"', "\u00e9", "'x'", "//", "0x10", "+1", "01", ".5", "\ufeff1",
)  # fmt: skip
"""JSON texts, some of them none, to stand where another value is expected."""


class Fuzz:
    """Makes bodies out of good ones; the same seed makes the same ones."""

    def __init__(self, seed: int, good: Sequence[bytes]) -> None:
        self._random = random.Random(seed)
        self._good = good
        self._ways: Sequence[Callable[[], tuple[bytes, bool]]] = (
            self._noise, self._flipped, self._cut, self._spliced, self._valued, self._valued, self._valued,
            self._membered, self._encoded, self._trap, self._gzipped, self._gzip_damaged,
        )  # fmt: skip

    def scripts(self, count: int, path: str = "/messages") -> Iterator[Script]:
        """So many bodies, each a script of its own; a fate nobody knows."""
        for _ in range(count):
            body, gzipped = self._random.choice(self._ways)()
            yield (Sending(("fuzz", digest(body).hex()), path, body, headers=GZIP if gzipped else {}),)

    def _pick(self) -> bytes:
        return self._random.choice(self._good)

    def _noise(self) -> tuple[bytes, bool]:
        return self._random.randbytes(self._random.randrange(300)), self._random.random() < 0.3

    def _flipped(self) -> tuple[bytes, bool]:
        body = bytearray(self._pick())
        for _ in range(self._random.randrange(1, 5)):
            body[self._random.randrange(len(body))] ^= 1 << self._random.randrange(8)
        return bytes(body), False

    def _cut(self) -> tuple[bytes, bool]:
        body = self._pick()
        return body[: self._random.randrange(len(body))], False

    def _spliced(self) -> tuple[bytes, bool]:
        one, other = self._pick(), self._pick()
        return one[: self._random.randrange(len(one))] + other[self._random.randrange(len(other)) :], False

    def _valued(self) -> tuple[bytes, bool]:
        """A member with another value; half of them under an id of their own, so that not all are conflicts."""
        document = json.loads(self._pick())
        name = self._random.choice(list(document))
        if self._random.random() < 0.5:
            document["id"] = f"{self._random.getrandbits(128):032x}"
            for at in (20, 16, 12, 8):
                document["id"] = f"{document['id'][:at]}-{document['id'][at:]}"
        document[name] = "@"
        text = json.dumps(document, ensure_ascii=False).replace('"@"', self._random.choice(_VALUES), 1)
        return text.encode("utf-8", "surrogatepass"), False

    def _membered(self) -> tuple[bytes, bool]:
        document: dict[str, Any] = json.loads(self._pick())
        for name in list(document):
            if self._random.random() < 0.15:
                del document[name]
        text = json.dumps(document)
        if self._random.random() < 0.5:  # the same member once more
            text = text[:-1] + ',"task":"update"}'
        return text.encode(), False

    def _encoded(self) -> tuple[bytes, bool]:
        coding = self._random.choice(("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "utf-7"))
        return self._pick().decode("utf-8", "replace").encode(coding, "replace"), False

    def _trap(self) -> tuple[bytes, bool]:
        deep = self._random.choice((600, 5_000, 100_000))
        traps: Sequence[bytes] = (
            b"", b" ", b"\x00", b"null", b"[]", b"{}", b"true", b'"x"', b"0", b'"\xed\xa0\x80"',
            b"[" * deep, b"[" * deep + b"]" * deep, b'{"a":' * deep, b'{"a":' * deep + b"1" + b"}" * deep,
            b"{" + b'"id":1,' * 1000 + b'"a":1}',
            *(value.encode("utf-8", "surrogatepass") for value in _VALUES),
        )  # fmt: skip
        return self._random.choice(traps), False

    def _gzipped(self) -> tuple[bytes, bool]:
        body = self._pick()
        times = self._random.choice((1, 1, 2))
        for _ in range(times):
            body = gzip.compress(body, 1, mtime=0)
        return body, self._random.random() < 0.9

    def _gzip_damaged(self) -> tuple[bytes, bool]:
        body = bytearray(gzip.compress(self._pick(), 1, mtime=0))
        match self._random.randrange(4):
            case 0:
                del body[self._random.randrange(len(body)) :]
            case 1:
                body[self._random.randrange(len(body))] ^= 0xFF
            case 2:
                body += self._random.randbytes(20)
            case _:
                body += gzip.compress(b"{}", mtime=0)
        return bytes(body), True
