"""Corrects what a letter's replays send; what was received stays as it was."""

from __future__ import annotations

import dataclasses
import difflib
import json
from typing import Any

import jsonpatch
import jsonpointer
import msgspec

from consumers.dead_letters.errors import NotEditable
from consumers.dead_letters.repository import LARGEST_BYTES, Letter, Repository
from consumers.store.letter import key_of
from schemas.message import Message
from schemas.validation.decode import inflate
from schemas.verdict import Invalid

LONGEST_RECORD = 10_000


def editable(letter: Letter) -> bytes:
    """What replays send now, inflated. Raises NotEditable."""
    message = letter.message()
    plain = inflate(message.payload, message.content_encoding, LARGEST_BYTES)
    if isinstance(plain, Invalid):
        why = "; ".join(f"{name}: {text}" for name, text in plain.details.items())
        raise NotEditable(f"letter {letter.id}: its payload can't be edited: {why}")
    return plain


def patched(letter: Letter, operations: list[dict[str, Any]]) -> bytes:
    """The payload after a JSON Patch (RFC 6902). Raises NotEditable."""
    try:
        document = json.loads(editable(letter))
        return json.dumps(jsonpatch.apply_patch(document, operations), ensure_ascii=False).encode()
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise NotEditable(f"letter {letter.id}: the patch does not fit: {error}") from None
    except (ValueError, RecursionError) as error:
        raise NotEditable(f"letter {letter.id}: its payload is no JSON to patch: {error}") from None


def edited_message(letter: Letter, payload: bytes) -> Message:
    """What a replay would send with this payload: plain, whatever encoding it came in."""
    return msgspec.structs.replace(letter.message(), payload=payload, content_encoding=None)


def save(repository: Repository, letter: Letter, payload: bytes, operations: list[dict[str, Any]] | None) -> bool:
    """Send this, without content encoding, from now on; False when the letter is no longer open or parked.

    The event records the patch, or else the difference in lines.
    """
    change = {"patch": operations} if operations is not None else {"diff": _difference(editable(letter), payload)}
    details = json.dumps(change)
    if len(details) > LONGEST_RECORD:
        details = json.dumps({"bytes": len(payload), "too_long_to_record": len(details)})
    key = key_of(edited_message(letter, payload), letter.exchange, letter.routing_key)
    facts: dict[str, Any] = {"id": letter.id, "payload": payload, "encoding": None, "key": key, "details": details}
    return repository.execute("edit", **facts) > 0


def revert(repository: Repository, letter: Letter) -> bool:
    """Send what was received, from now on; False when the letter is no longer open or parked."""
    received = dataclasses.replace(letter, edited_payload=None, edited_encoding=None)
    key = received.replay_key()
    details = json.dumps({"reverted": True})
    return repository.execute("edit", id=letter.id, payload=None, encoding=None, key=key, details=details) > 0


def _difference(old: bytes, new: bytes) -> str:
    before, after = (text.decode("utf-8", "backslashreplace").splitlines() for text in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "received", "edited", lineterm="", n=1))
