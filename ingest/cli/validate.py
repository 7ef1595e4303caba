"""Judges files offline: would each be stored, and if not, why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.kinds import kind_of
from schemas.kinds.columns import columns
from schemas.message import Message
from schemas.validation.decode import inflate
from schemas.validation.judge import Candidate, Judge


def validate_file(judge: Judge, path: Path, door: str) -> dict[str, Any]:
    """One row: file, kind, verdict (`valid` or `invalid`), reason and details. Raises OSError."""
    payload = path.read_bytes()
    message = guess(payload, door)
    judgement = judge(message)
    row: dict[str, Any] = {"file": str(path), "kind": message.kind}
    if isinstance(judgement, Candidate):
        return row | {"verdict": "valid", "reason": "", "details": {}}
    return row | {"verdict": "invalid", "reason": judgement.reason, "details": dict(judgement.details)}


def guess(payload: bytes, door: str, max_bytes: int = 16 * 1024 * 1024) -> Message:
    """The message a body is likely to be, by the members that kinds are known by; a URL is taken to fit the body."""
    encoding = "gzip" if payload[:2] == b"\x1f\x8b" else None
    inflated = inflate(payload, encoding, max_bytes)
    try:
        body = json.loads(inflated) if isinstance(inflated, bytes) else None
    except (ValueError, RecursionError):
        body = None
    members = body if isinstance(body, dict) else {}
    kind = kind_of(members)
    run_id = members.get("run_id")
    run_id = run_id if isinstance(run_id, str) else "00000000-0000-4000-8000-000000000000"
    in_url = any(each.field == "organization" and each.member is None for each in columns(kind.row))
    named = ("organization", "node", run_id) if in_url else (None, None, None)
    organization, node, run = named
    return Message(kind.name, payload, door, organization, node, run, encoding)
