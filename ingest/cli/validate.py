"""Judges files offline: would each be stored, and if not, why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.message import ACTION, RUN_END, RUN_START, Door, Message
from schemas.validation.judge import Candidate, Judge


def validate_file(judge: Judge, path: Path, door: Door) -> dict[str, Any]:
    """One row: file, kind, verdict (`valid` or `invalid`), reason and details. Raises OSError."""
    payload = path.read_bytes()
    message = guess(payload, door)
    judgement = judge(message)
    row: dict[str, Any] = {"file": str(path), "kind": message.kind}
    if isinstance(judgement, Candidate):
        return row | {"verdict": "valid", "reason": "", "details": {}}
    return row | {"verdict": "invalid", "reason": judgement.reason, "details": dict(judgement.details)}


def guess(payload: bytes, door: Door) -> Message:
    """The message a body is likely to be, by its `action` member; a run's URL is taken to fit its body."""
    encoding = "gzip" if payload[:2] == b"\x1f\x8b" else None
    action, run_id = None, None
    if encoding is None:
        try:
            body = json.loads(payload)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict):
            action, run_id = body.get("action"), body.get("run_id")
    url = {"organization": "organization", "node": "node"}
    if encoding or action == "end":
        run_id = run_id if isinstance(run_id, str) else "00000000-0000-4000-8000-000000000000"
        return Message(RUN_END, payload, door, **url, run_id=run_id, content_encoding=encoding)
    if action == "start":
        return Message(RUN_START, payload, door, **url)
    return Message(ACTION, payload, door)
