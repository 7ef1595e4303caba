"""What is answered to a read, and where one goes wrong: each sentence in the form in which its readers want it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from typing import Final

import structlog

from ingest.http.answers import JSON, RETRY_AFTER_SECONDS, Answer, fault
from ingest.http.negotiation import names_tag
from ingest.http.requests import Declined, Request
from ingest.http.routes import Handler
from ingest.reads.asked import Senseless
from ingest.reads.database import ReadsUnavailable, ReadTooLong

_AGAIN: Final = ((b"retry-after", str(RETRY_AFTER_SECONDS).encode()),)
_TOO_LONG: Final = "the database took too long for this: ask for less, or for a shorter time"


class Missing(Exception):
    """What is asked for is not there; the message says what."""


def answered(handler: Handler, *, as_list: bool = False) -> Handler:
    """The handler, and an answer for whatever hinders it; `as_list`: its `error` is a list of sentences, as Chef's
    servers say it and knife prints it."""

    @wraps(handler)
    async def read(request: Request) -> Answer:
        try:
            return await handler(request)
        except Declined as declined:
            return _said(declined.answer, as_list=as_list)
        except Senseless as senseless:
            return _said(fault(400, str(senseless), code="query"), senseless.faults, as_list=as_list)
        except Missing as missing:
            return _said(fault(404, str(missing), code="not_found"), as_list=as_list)
        except ReadTooLong as long:
            _log.warning("read_too_long", error=str(long))
            return _said(fault(503, _TOO_LONG, code="slow_read", headers=_AGAIN), as_list=as_list)
        except ReadsUnavailable as unavailable:
            _log.warning("database_unavailable", error=str(unavailable))
            text = "the database does not answer"
            return _said(fault(503, text, code="database", headers=_AGAIN), as_list=as_list)

    return read


def found(content: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), media: bytes = JSON) -> Answer:
    """200, and what was asked for: a JSON document, to which the line break is put with which every answer ends."""
    return exactly(content + b"\n", headers, media)


def exactly(content: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), media: bytes = JSON) -> Answer:
    """200, and what was asked for to the byte: what somebody sent, or lines that have their ends."""
    return Answer(200, content, headers, "found", media)


def unchanging(request: Request, answer: Answer) -> Answer:
    """The answer with the ETag of what never changes once it is there; 304 for who has it."""
    assert isinstance(answer.content, bytes)
    tag = b'"' + hashlib.sha256(answer.content).hexdigest()[:32].encode() + b'"'
    headers = (*answer.headers, (b"etag", tag))
    if names_tag(request.fields.get(b"if-none-match"), tag):
        return Answer(304, b"", headers, "unchanged")
    return replace(answer, headers=headers)


def _said(answer: Answer, sentences: Sequence[str] = (), *, as_list: bool) -> Answer:
    if not as_list or isinstance(answer.content, bytes):
        return answer
    error = list(sentences) or [answer.content["error"]]
    return replace(answer, content={**answer.content, "error": error})


_log = structlog.get_logger("ingest.http")
