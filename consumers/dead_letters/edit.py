"""Corrects what a letter's replays send; what was received stays as it was."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jsonpatch
import jsonpointer

from consumers.dead_letters.dry_run import DryRun, Forecast
from consumers.dead_letters.errors import NotEditable
from consumers.dead_letters.repository import LARGEST_BYTES, Letter, Repository
from schemas.doors import WORDS
from schemas.kinds import KINDS
from schemas.validation.decode import inflate
from schemas.verdict import Invalid

LONGEST_RECORD = 10_000
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_DEEPEST: Final = 40
"""Levels that are indented: more is none that a person reads, and each line would be as long."""

ENVELOPE: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": tuple(KINDS), "door": WORDS, "organization": (), "node": (), "run_id": (),
}  # fmt: skip
"""The facts of an envelope that can be corrected, and what they can be where that is not free."""


class Correction(NamedTuple):
    """A letter as it would be saved, and what would become of it then; None: that is the letter as it is."""

    letter: Letter
    now: Forecast | None

    @property
    def good(self) -> bool:
        """It changes something, and would be stored."""
        return self.now is not None and self.now.passes is True


def consider(dry_run: DryRun, letter: Letter, payload: bytes | None, envelope: Mapping[str, str]) -> Correction:
    """What comes of another payload (None: as it is), and of these facts of the envelope; nothing is saved."""
    edited = corrected(letter, payload, envelope)
    return Correction(edited, None if edited == letter else dry_run.message(letter, edited.message()))


def check_envelope(facts: Mapping[str, str]) -> None:
    """Raises ValueError, in words, for a fact that there is not or that can't be so."""
    for name, value in facts.items():
        if name not in ENVELOPE:
            raise ValueError(f"{name!r} is no fact of an envelope: there are {', '.join(ENVELOPE)}")
        if ENVELOPE[name] and value not in ENVELOPE[name]:
            raise ValueError(f"{value!r} is no {name}: there are {', '.join(ENVELOPE[name])}")
        if not value or not value.isprintable():
            raise ValueError(f"{name} must be text that can be printed")


def editable(letter: Letter) -> bytes:
    """What replays send now, inflated. Raises NotEditable."""
    message = letter.message()
    plain = inflate(message.payload, message.content_encoding, LARGEST_BYTES)
    if isinstance(plain, Invalid):
        why = "; ".join(f"{name}: {text}" for name, text in plain.details.items())
        raise NotEditable(f"letter {letter.id}: its payload can't be edited: {why}")
    return plain


def indented(payload: bytes) -> bytes:
    """JSON with a line for each member, each of its values exactly as it was sent; anything else as it is."""
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return payload
    pieces: list[bytes] = []
    depth, opened = 0, False
    for token in _TOKEN.findall(payload):
        closing = token in (b"}", b"]")
        depth -= closing
        if (opened and not closing) or (closing and not opened):
            pieces.append(b"\n" + b"  " * min(depth, _DEEPEST))
        opened = token in (b"{", b"[")
        depth += opened
        pieces.append({b",": b",", b":": b": "}.get(token, token))
        if token == b",":
            pieces.append(b"\n" + b"  " * min(depth, _DEEPEST))
    return b"".join(pieces) + b"\n"


def operations(text: str | bytes) -> list[dict[str, Any]]:
    """A JSON Patch, read. Raises ValueError, in words, for what is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the patch is no JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("a JSON Patch is an array of operations")
    return found


def patched(letter: Letter, operations: list[dict[str, Any]]) -> bytes:
    """The payload after a JSON Patch (RFC 6902). Raises NotEditable."""
    try:
        document = json.loads(editable(letter))
        return json.dumps(jsonpatch.apply_patch(document, operations), ensure_ascii=False).encode()
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise NotEditable(f"letter {letter.id}: the patch does not fit: {error}") from None
    except (ValueError, RecursionError) as error:
        raise NotEditable(f"letter {letter.id}: its payload is no JSON to patch: {error}") from None


def corrected(letter: Letter, payload: bytes | None, envelope: Mapping[str, str]) -> Letter:
    """The letter with this payload, plain whatever encoding it came in (None: as it is), and these facts."""
    changes: dict[str, Any] = {"edited_envelope": {**(letter.edited_envelope or {}), **envelope} or None}
    if payload is not None:
        changes |= {"edited_payload": payload, "edited_encoding": None}
    return dataclasses.replace(letter, **changes)


def save(repository: Repository, letter: Letter, edited: Letter, operations: list[dict[str, Any]] | None) -> bool:
    """Send what `edited` says from now on; False when the letter is no longer open or parked.

    The event records the facts of the envelope, and the patch, or else the difference in lines.
    """
    change: dict[str, Any] = {}
    if edited.edited_envelope != letter.edited_envelope:
        change["envelope"] = edited.edited_envelope
    if operations is not None:
        change["patch"] = operations
    elif edited.edited_payload != letter.edited_payload:
        change["diff"] = _difference(editable(letter), edited.message().payload)
    details = json.dumps(change)
    if len(details) > LONGEST_RECORD:
        details = json.dumps({"bytes": len(edited.message().payload), "too_long_to_record": len(details)})
    return _save(repository, edited, details)


def revert(repository: Repository, letter: Letter) -> bool:
    """Send what was received, from now on; False when the letter is no longer open or parked."""
    return _save(repository, received(letter), json.dumps({"reverted": True}))


def received(letter: Letter) -> Letter:
    """The letter as it was before anybody edited it."""
    return dataclasses.replace(letter, edited_payload=None, edited_encoding=None, edited_envelope=None)


def _save(repository: Repository, letter: Letter, details: str) -> bool:
    envelope = None if letter.edited_envelope is None else json.dumps(letter.edited_envelope)
    facts: dict[str, Any] = {"payload": letter.edited_payload, "encoding": letter.edited_encoding}
    facts |= {"envelope": envelope, "key": letter.replay_key(), "details": details}
    return repository.execute("edit", id=letter.id, **facts) > 0


def _difference(old: bytes, new: bytes) -> str:
    before, after = (text.decode("utf-8", "backslashreplace").splitlines() for text in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "received", "edited", lineterm="", n=1))
