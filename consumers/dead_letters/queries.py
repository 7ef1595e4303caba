"""Reads letters and changes nothing: lists, groups, one in full, figures."""

from __future__ import annotations

import json
from typing import Any

from consumers.dead_letters.errors import NoSuchLetter
from consumers.dead_letters.repository import LARGEST_BYTES, Letter, Repository
from consumers.dead_letters.selector import Selector
from schemas.validation.decode import inflate
from schemas.verdict import Invalid


def listed(repository: Repository, selector: Selector) -> list[dict[str, Any]]:
    """Letters without their payloads, by id; `why` is their details in one line."""
    where, values = selector.where()
    rows = repository.rows("listed", where, limit=selector.limit, **values)
    return [row | {"why": in_one_line(row["details"])} for row in rows]


def groups(repository: Repository, selector: Selector) -> list[dict[str, Any]]:
    """Letters by cause: fingerprint, how many, how many open, first and last seen, a sample's id and details."""
    where, values = selector.where()
    rows = repository.rows("groups", where, limit=selector.limit, **values)
    return [row | {"why": in_one_line(row["details"])} for row in rows]


def count(repository: Repository, selector: Selector) -> int:
    """How many letters there are."""
    where, values = selector.where()
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
    """How many letters there are by state, stage and reason, since when, and their payloads' bytes."""
    where, values = selector.where()
    return repository.rows("stats", where, **values)


def pretty(payload: bytes, content_encoding: str | None) -> str:
    """A payload for people: JSON indented where it is JSON, else as it is."""
    plain = inflate(payload, content_encoding, LARGEST_BYTES)
    if isinstance(plain, Invalid):
        return repr(payload[:2000])
    try:
        return json.dumps(json.loads(plain), indent=2, ensure_ascii=False).encode("utf-8", "replace").decode()
    except (ValueError, RecursionError):
        return plain.decode("utf-8", "backslashreplace")


def in_one_line(details: dict[str, str]) -> str:
    """`field: text; field: text`."""
    return "; ".join(f"{name}: {text}" for name, text in details.items())
