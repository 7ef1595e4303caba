"""Reads letters and changes nothing: lists, groups, one in full, figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from consumers.dead_letters.errors import NoSuchLetter
from consumers.dead_letters.repository import Letter, Repository
from consumers.dead_letters.selector import BY, NEWEST, OLDEST, SORTS, Selector
from consumers.store.letter import without_values
from schemas.validation.decode import beginning, inflate
from schemas.verdict import Invalid

SHOWN_BYTES: Final = 256 * 1024
"""Of a payload, inflated: more is nothing that a person reads at a terminal, and may be made to be looked at."""


def listed(repository: Repository, selector: Selector, sort: str = OLDEST) -> list[dict[str, Any]]:
    """Letters without their payloads, by one of SORTS; `why` is their details in one line. `after` goes with PAGED."""
    where, values = selector.where(backwards=sort == NEWEST)
    rows = repository.rows("listed", where, SORTS[sort], limit=selector.limit, **values)
    return [row | {"why": in_one_line(row["details"])} for row in rows]


def groups(repository: Repository, selector: Selector) -> list[dict[str, Any]]:
    """Letters by cause: fingerprint, how many, how many open, first and last seen, a sample's id and details; `why` is
    what they have in common, `example` what the sample says."""
    where, values = selector.where()
    return [worded(row) for row in repository.rows("groups", where, limit=selector.limit, **values)]


def groups_by(repository: Repository, selector: Selector, by: str) -> list[dict[str, Any]]:
    """Letters by one of BY, `value` is whose they are: how many, of how many causes, nodes, organizations, senders."""
    where, values = selector.where()
    return repository.rows("groups_by", where, BY[by], limit=selector.limit, **values)


def worded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with `reason` and `details`, and in words what is told of them: `why` without values, `example` with them;
    that one is empty where it says the same."""
    why = without_values(row["reason"], [(str(name), str(text)) for name, text in pairs(row["details"])])
    example = in_one_line(row["details"])
    return {**row, "why": why, "example": "" if example == why else example}


def count(repository: Repository, selector: Selector, sort: str = OLDEST) -> int:
    """How many letters there are; of a list in this order."""
    where, values = selector.where(backwards=sort == NEWEST)
    counted: int = repository.rows("counted", where, **values)[0]["letters"]
    return counted if selector.limit is None else min(counted, selector.limit)


def letter(repository: Repository, letter_id: int) -> Letter:
    """One letter. Raises NoSuchLetter."""
    for found in repository.letters("letters", "id = %(id)s", id=letter_id, limit=1):
        return found
    raise NoSuchLetter(f"there is no dead letter {letter_id}; `chef-ingest dead list` shows those there are")


def letters(repository: Repository, selector: Selector) -> list[Letter]:
    """Letters in full."""
    where, values = selector.where()
    return list(repository.letters("letters", where, limit=selector.limit, **values))


def history(repository: Repository, letter_id: int) -> list[dict[str, Any]]:
    """What happened to a letter, oldest first: at, what, who, why, details."""
    return repository.rows("events", id=letter_id)


def stats(repository: Repository, selector: Selector) -> list[dict[str, Any]]:
    """How many letters there are by state, stage and reason, since when, their payloads' bytes, and what is noted of
    their causes."""
    where, values = selector.where()
    return repository.rows("stats", where, **values)


def pretty(payload: bytes, content_encoding: str | None) -> str:
    """A payload for people: JSON indented where it is JSON, else as it is; of a large one the beginning."""
    plain = inflate(payload, content_encoding, SHOWN_BYTES)
    if isinstance(plain, Invalid):
        start = beginning(payload, content_encoding, SHOWN_BYTES) if plain.reason == "too_large" else b""
        if not start:
            return repr(payload[:2000])
        said = f"({len(payload)} bytes as sent; only the first {len(start)} are shown, `dead export` has all)"
        return f"{start.decode('utf-8', 'backslashreplace')}\n... {said}"
    return _indented(plain) or plain.decode("utf-8", "backslashreplace")


def _indented(plain: bytes) -> str:
    """Empty for what is no JSON, or grows out of hand: a line for each of many brackets, each line deep within."""
    pieces, room = [], 8 * SHOWN_BYTES
    try:
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(plain)):
            room -= len(piece)
            if room < 0:
                return ""
            pieces.append(piece)
    except (ValueError, RecursionError):
        return ""
    return "".join(pieces).encode("utf-8", "replace").decode()


def in_one_line(details: Mapping[str, str]) -> str:
    """`field: text; field: text`; whatever else a row may hold, as it is."""
    return "; ".join(f"{name}: {text}" for name, text in pairs(details))


def pairs(details: Any) -> list[tuple[str, Any]]:
    """Field and text of each detail; of a row that somebody else has made, its one value."""
    return list(details.items()) if isinstance(details, Mapping) else [("details", details)]
