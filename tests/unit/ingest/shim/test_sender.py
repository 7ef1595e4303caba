"""Who sent a request, in the words of one header: what is known, short, and to be seen as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.http.requests import Request
from ingest.shim.doors.sender import sender_of
from schemas.message import HEADER_SENDER, LONGEST_SENDER, SENDER, Message


async def nothing() -> dict[str, Any]:
    return {}


def told(*fields: tuple[bytes, bytes], who: str = "", client: tuple[str, int] | None = None) -> Any:
    scope = {"method": "POST", "headers": list(fields), "path": "/", "query_string": b"", "client": client}
    request = Request(scope, nothing)
    if who:
        request.facts["who"] = who
    header = sender_of(request)
    return header and json.loads(header)


def test_what_is_not_known_is_left_out() -> None:
    """Most requests have a few of its members, and one that has none has no header."""
    assert told() is None
    assert told(client=("10.0.0.7", 4711)) == {"address": "10.0.0.7"}
    everything = told(
        (b"x-ops-userid", b"web01"), (b"user-agent", b"Chef Client/18"), (b"x-forwarded-for", b"1.2.3.4"),
        who="token lab", client=("::1", 1),
    )  # fmt: skip
    assert list(everything) == list(SENDER)
    assert list(everything.values()) == ["token lab", "web01", "::1", "1.2.3.4", "Chef Client/18"]


@pytest.mark.parametrize("agent", [b"x" * 10_000, b'"\\' * 5_000, b"\xff" * 10_000, "\u202e\u00e9".encode() * 5_000])
def test_a_header_is_short_whatever_is_written_in_a_field(agent: bytes) -> None:
    """It travels in one frame with the names of the envelope."""
    fields = [(name, agent) for name in (b"x-ops-userid", b"user-agent", b"x-forwarded-for")]
    found = told(*fields, who=agent.decode("utf-8", "replace"))
    assert all(len(each) <= LONGEST_SENDER for each in found.values())
    message = Message("x", b"", "http", sender=json.dumps(found, ensure_ascii=False))
    assert len(str(message.headers()[HEADER_SENDER]).encode()) < 3072


def test_odd_bytes_are_seen_and_a_direction_mark_stays_what_it_is() -> None:
    """Text is kept as it was sent, and escaped where it is shown."""
    assert told((b"user-agent", b"caf\xe9")) == {"user_agent": "caf\\xe9"}
    assert told((b"user-agent", "a\u202eb".encode())) == {"user_agent": "a\u202eb"}
