"""One letter in words, for `dead show`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from consumers.dead_letters.dry_run import Forecast
from consumers.dead_letters.queries import pairs, pretty
from consumers.dead_letters.repository import Letter
from schemas.printable import exact, printable

_ENVELOPE = ("kind", "door", "organization", "node", "run_id", "exchange", "routing_key", "content_encoding")


def letter_facts(letter: Letter, forecast: Forecast, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A letter as one JSON-able object; the body as text."""
    message = letter.message()
    facts = {name: getattr(letter, name) for name in Letter.__dataclass_fields__ if not name.endswith("payload")}
    return facts | {
        "now": {"passes": forecast.passes, "text": forecast.text, "details": forecast.details},
        "edited": letter.edited,
        "bytes": len(letter.payload),
        "body": pretty(message.payload, message.content_encoding),
        "history": list(history),
    }


def letter_text(letter: Letter, forecast: Forecast, history: Sequence[Mapping[str, Any]]) -> str:
    """A letter for people, the reason first."""
    lines = [f"letter {letter.id}: {letter.state}", "", f"stage {letter.stage}, reason {letter.reason}"]
    if letter.sqlstate:
        lines[-1] += f", SQLSTATE {letter.sqlstate}"
    lines += [f"  {name}: {text}" for name, text in pairs(letter.details)]
    lines += ["", f"now: {forecast.text}", ""]
    lines += [f"  {name:<17} {value}" for name, value in _facts(letter) if value is not None]
    lines += ["", "history:"]
    lines += [f"  {exact(each['at'])}  {each['what']:<13} {each['who']}{_words(each)}" for each in history]
    # A line is a line, whatever is in it; the body has its own.
    lines = [printable(line) for line in lines]
    message = letter.message()
    told = (
        "as edited; the original is kept"
        if letter.edited_payload is not None
        else f"{len(letter.payload)} bytes as received"
    )
    lines += ["", f"body ({told}):", printable(pretty(message.payload, message.content_encoding), lines=True), ""]
    return "\n".join(lines)


def _facts(letter: Letter) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [(name.replace("_", " "), getattr(letter, name)) for name in _ENVELOPE]
    facts += [("entity", letter.entity), ("requestor", letter.requestor)]
    facts += [(f"sender {name.replace('_', ' ')}", value) for name, value in (letter.sender or {}).items()]
    if letter.edited_envelope is not None:
        facts.append(("sent as", ", ".join(f"{name} {value}" for name, value in letter.edited_envelope.items())))
    facts.append(("properties", json.dumps(letter.properties)))
    facts.append(("fingerprint", letter.fingerprint))
    facts.append(("attempts", f"{letter.attempts} ({letter.failed_replays} failed replays)"))
    facts.append(("first seen", f"{letter.first_seen:%Y-%m-%dT%H:%M:%SZ}"))
    facts.append(("last seen", f"{letter.last_seen:%Y-%m-%dT%H:%M:%SZ}"))
    facts.append(("worker version", letter.worker_version))
    facts.append(("resolution", None if letter.resolution is None else json.dumps(letter.resolution)))
    return facts


def _words(event: Mapping[str, Any]) -> str:
    why = f": {event['why']}" if event["why"] else ""
    details = f"  {json.dumps(event['details'])}" if event["details"] else ""
    replay = f"  replay {event['replay']}" if event["replay"] else ""
    return why + replay + details
