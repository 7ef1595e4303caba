"""Who sent a request, in the words of one AMQP header, for whoever looks at its dead letter."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from ingest.http.requests import Request
from schemas.message import LONGEST_SENDER, SENDER

_KNOWN: Final = 1024
"""Senders whose header is kept made: each comes again and again."""


def sender_of(request: Request) -> str | None:
    """The value of HEADER_SENDER; None where nothing is known."""
    get, client = request.fields.get, request.scope.get("client")
    agent, forwarded = get(b"user-agent"), get(b"x-forwarded-for")
    return _header(
        request.facts.get("who"),
        _cut(get(b"x-ops-userid")),
        client[0] if client else None,
        _cut(forwarded),
        _cut(agent),
    )


def _cut(field: bytes | None) -> bytes | None:
    return field and field[:LONGEST_SENDER]


@lru_cache(_KNOWN)
def _header(*known: str | bytes | None) -> str | None:
    told = {
        # Odd bytes as they are written in Python: what a sender wrote is still to be seen.
        name: (value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value)[:LONGEST_SENDER]
        for name, value in zip(SENDER, known, strict=True)
        if value
    }
    return msgspec.json.encode(told).decode() if told else None
