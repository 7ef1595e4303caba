"""What a Chef server tells of somebody's keys, against what the file holds: pure, it reads and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ingest.access.keys import LARGEST_FILE, DatedKey, fingerprint, parse

ADDED, CHANGED, REMOVED, REFUSED = "added", "changed", "removed", "refused"
_KEPT: Final = ("name", "public_key", "expiration_date")
"""Of what is told of a key."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What becomes of a file: `content` to write (None: it stays as it is), and `change`, which says why.

    A file that is `unwanted` holds keys that the Chef server has no more. `refused` tells which keys are none to trust.
    """

    change: str | None
    content: bytes | None = None
    unwanted: bool = False
    refused: tuple[str, ...] = ()


def plan(told: Iterable[Mapping[str, Any]], held: bytes | None) -> FilePlan:
    """For the keys that were told of and the file as it is, None where there is none."""
    good: list[dict[str, Any]] = []
    refused: list[str] = []
    for key in sorted(told, key=lambda each: str(each["name"])):
        candidate = [*good, {name: key.get(name) for name in _KEPT}]
        try:
            parse(json.dumps(candidate[-1:]).encode())
            if len(_written(candidate)) > LARGEST_FILE:
                raise ValueError("there are more keys than a file may hold")
            good = candidate
        except ValueError as error:
            refused.append(f"key {key['name']}: {error}")
    if not good:
        return FilePlan(None, unwanted=held is not None, refused=tuple(refused))
    content = _written(good)
    if _same(content, held):
        return FilePlan(None, refused=tuple(refused))
    return FilePlan(ADDED if held is None else CHANGED, content, refused=tuple(refused))


def _written(keys: list[dict[str, Any]]) -> bytes:
    return (json.dumps(keys, indent=1) + "\n").encode()


def _same(content: bytes, held: bytes | None) -> bool:
    """Whether both hold the same keys, however they are written: a file put there by hand stays as it is."""
    try:
        return held is not None and _meant(parse(held)) == _meant(parse(content))
    except ValueError:
        return False


def _meant(keys: Iterable[DatedKey]) -> set[tuple[str, float]]:
    return {(fingerprint(key.public), key.until) for key in keys}
