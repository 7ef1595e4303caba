"""Letters as NDJSON, out and in; and other files whose messages go through the queue."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec

from consumers.broker.properties import anew
from consumers.dead_letters.edit import check_envelope, received
from consumers.dead_letters.errors import NotImportable
from consumers.dead_letters.posting import Posting, as_posted
from consumers.dead_letters.repository import Letter, Repository
from consumers.dead_letters.selector import RESOLVED
from consumers.store.particulars import fit, particulars, sent_by
from schemas.doors import COLLECTOR, WORDS
from schemas.kinds import kind_of
from schemas.labels import LETTER_STATES, STAGES
from schemas.message import Message

MARK: Final = "chef_ingest_letter"
VERSION: Final = 1

_BYTES = ("payload", "edited_payload")
_JSON_OR_NULL = ("resolution", "edited_envelope", "sender")


def to_line(letter: Letter) -> str:
    """One line of an export: every fact, bytes in base64."""
    facts: dict[str, Any] = {MARK: VERSION} | dataclasses.asdict(letter)
    for name in _BYTES:
        facts[name] = None if facts[name] is None else base64.b64encode(facts[name]).decode()
    return json.dumps(facts, default=datetime.isoformat)


def from_line(line: bytes, where: str) -> Letter:
    """The letter of an export's line; `where` names it in errors. Raises NotImportable."""
    try:
        facts = json.loads(line)
        if not isinstance(facts, dict) or facts.pop(MARK, None) != VERSION:
            raise NotImportable(f"{where}: no line of `chef-ingest dead export` (it has no {MARK!r}: {VERSION})")
        letter = msgspec.convert(facts, Letter)
        _check(letter)
        letter = _with_told(letter)
    except NotImportable:
        raise
    except Exception as error:
        # Whatever stumbles over it now would stumble over it in every list.
        raise NotImportable(f"{where}: can't be read: {error!r}") from None
    return letter


def _check(letter: Letter) -> None:
    """Raises an error of some kind for what could not be listed, judged, or sent again; a file can say anything."""
    known = (letter.state in LETTER_STATES, letter.stage in STAGES, letter.door in WORDS)
    if not all(known):
        raise ValueError("a state, stage or door that there is not")
    if (letter.state == RESOLVED) != (letter.resolution is not None):
        raise ValueError("a resolution belongs to what is resolved")
    for name in Letter.__dataclass_fields__:
        value = getattr(letter, name)
        if isinstance(value, int) and not 0 <= value < 2**31 and name != "id":
            raise ValueError(f"{name} is out of range")
        if isinstance(value, str) and "\0" in value:
            raise ValueError(f"{name} holds a zero byte")
        if isinstance(value, str | dict):
            json.dumps(value, ensure_ascii=False).encode()
    if not all(when.tzinfo for when in (letter.first_seen, letter.last_seen)):
        raise ValueError("a time without its zone")
    check_envelope(letter.edited_envelope or {})
    letter.replay_key()
    anew(letter.properties, letter.content_encoding, {}).encode()


def _with_told(letter: Letter) -> Letter:
    """With what its body tells where the file does not say it, as one of an earlier version."""
    says = particulars(received(letter).message())
    sender = fit(letter.sender) if letter.sender else says.sender
    entity, requestor = (getattr(letter, name) or says.facts.get(name) for name in ("entity", "requestor"))
    return dataclasses.replace(letter, sender=dict(sender) or None, entity=entity, requestor=requestor)


def read_letters(file: BinaryIO, name: str) -> Iterator[Letter]:
    """The letters of an export. Raises NotImportable."""
    for number, line in enumerate(file, 1):
        if line.strip():
            yield from_line(line, f"{name}, line {number}")


def import_letter(repository: Repository, letter: Letter, file: str) -> bool:
    """Keep a letter from elsewhere, as new here; False when the same message is a letter already."""
    facts = {name: getattr(letter, name) for name in Letter.__dataclass_fields__ if name not in ("id", "replays")}
    facts |= {name: json.dumps(facts[name]) for name in ("details", "properties")}
    facts |= {name: None if facts[name] is None else json.dumps(facts[name]) for name in _JSON_OR_NULL}
    facts |= {"sent_by": sent_by(letter.sender or {}), "plain": particulars(received(letter).message()).plain}
    # A replay that was under way there is none here.
    facts["state"] = "open" if letter.state == "replaying" else letter.state
    keys: dict[str, Any] = {"message_key": received(letter).replay_key(), "replay_key": letter.replay_key()}
    return repository.execute("import_letter", file=file, **keys, **facts) > 0


def posting_of(letter: Letter) -> Posting:
    """What a replay of this letter would publish."""
    return Posting(letter.message(), letter.exchange, letter.routing_key, letter.properties)


def is_collected(file: BinaryIO) -> bool:
    """Whether the first line of a file is a message to a data collector; it is read from its beginning again."""
    first = next((line for line in file if line.strip()), b"")
    file.seek(0)
    try:
        return _collected(first, "") is not None
    except NotImportable:
        return False


def read_collected(file: BinaryIO, name: str) -> Iterator[Posting]:
    """The messages of a file of `data_collector.output_locations`, one a line. Raises NotImportable."""
    for number, line in enumerate(file, 1):
        if payload := line.strip():
            where = f"{name}, line {number}"
            posting = _collected(payload, where)
            if posting is None:
                raise NotImportable(f"{where}: no message to a data collector, as the first one is")
            yield posting


def _collected(payload: bytes, where: str) -> Posting | None:
    """A message as its sender would have posted it, who it is of stands in it; None for any other JSON object."""
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise NotImportable(f"{where}: no JSON: {error}") from None
    kind = kind_of(body) if isinstance(body, dict) else None
    if kind is None or kind.name not in COLLECTOR.kinds or not kind.sign:
        return None
    return as_posted(Message(kind.name, payload, COLLECTOR.word), kind.routing_key)
