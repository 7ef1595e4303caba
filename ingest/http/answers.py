"""Turns what became of a message into an HTTP answer: status, header fields, body. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from ingest.http.negotiation import CODINGS
from ingest.http.outcome import HOPELESS, Outcome, Queued, Refusal, Refused, Spooled
from schemas.kinds import KINDS
from schemas.labels import KIND_OFF
from schemas.printable import to_ascii
from schemas.verdict import FOREIGN, Conflict, Created, DuringRun, Invalid, UnknownRun

RETRY_AFTER_SECONDS: Final = 2

JSON: Final = b"application/json"
PROBLEM: Final = b"application/problem+json"

_UNSENT: Final = "nothing is stored yet, send it again"
_REFUSALS: Final[Mapping[Refusal, str]] = {
    Refusal.NOT_CONNECTED: f"the broker is not connected; {_UNSENT}",
    Refusal.CONNECTION_LOST: "the broker's connection broke before it confirmed; send it again",
    Refusal.BLOCKED: f"the broker has blocked publishing (a memory or disk alarm); {_UNSENT}",
    Refusal.UNROUTABLE: f"the broker has no queue bound for this message; {_UNSENT}",
    Refusal.NACKED: f"the broker refused the message (its queue is full); {_UNSENT}",
    Refusal.UNCONFIRMED: "the broker did not confirm in time; send it again",
    Refusal.TOO_LONG: "the names in the path are longer than the broker takes (its frame_max)",
    Refusal.TOO_LARGE: "larger than the broker takes (its max_message_size)",
    Refusal.OVERLOADED: f"too many messages are under way here; {_UNSENT}",
    Refusal.SPOOL_FULL: f"the broker does not take it, and the spool is full; {_UNSENT}",
    Refusal.SPOOL_FAILED: f"the broker does not take it, and the spool can't be written; {_UNSENT}",
    Refusal.SPOOL_SLOW: "the broker does not take it, and the spool's disk did not answer in time; send it again",
}
_UNSTORABLE: Final[Mapping[str, int]] = {"too_large": 413, "content_encoding": 415}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is rendered. `content` is a JSON-able object, or bytes that are JSON already."""

    status: int
    content: Mapping[str, Any] | bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    code: str = ""
    """One word for logs and problem documents: the verdict's code, or what was wrong."""
    media: bytes = JSON
    """What `content` is, when it is bytes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer must know of the request.

    `base` is scheme and authority of URLs handed out, no slash at the end; `path` the request's path
    as sent; `applied` what Preference-Applied is to say if the verdict is not in.
    """

    kind: str
    base: str
    path: str
    applied: str | None = None


def _created(verdict: Created, asked: Asked) -> Answer:
    # A worker has encoded what it puts into a path; this keeps any other text out of the header.
    uri = asked.base + quote(verdict.path, safe="/%:@!$&'()*+,;=~")
    content = {"uri": uri} if KINDS[asked.kind].answered_with_uri else {}
    return Answer(201, content, ((b"location", uri.encode()),), verdict.code)


def _during_run(verdict: DuringRun, _asked: Asked) -> Answer:
    content = {"stored": False, "rule": verdict.rule, "run_id": verdict.run_id}
    rule = quote(verdict.rule, safe="").encode()
    return Answer(200, content, ((b"x-ingest-rule", rule),), verdict.code)


def _invalid(verdict: Invalid, _asked: Asked) -> Answer:
    if verdict.reason == FOREIGN:
        return FORBIDDEN
    status = _UNSTORABLE.get(verdict.reason, 400)
    content = {"error": "Validation failed", "details": dict(verdict.details)}
    headers = ((b"accept-encoding", CODINGS),) if status == 415 else ()
    return Answer(status, content, headers, verdict.reason)


def _unknown_run(verdict: UnknownRun, _asked: Asked) -> Answer:
    return fault(404, verdict.text, {"run_id": verdict.run_id}, code=verdict.code)


def _conflict(verdict: Conflict, _asked: Asked) -> Answer:
    text = "this id is taken by another content, which stays"
    return fault(409, text, verdict.details, code=verdict.code)


def _queued(_outcome: Queued, asked: Asked) -> Answer:
    """202: the body has not been parsed, so where the id is inside it the place is named by a template."""
    return _accepted(asked, "queued", "the broker has it; it will be judged and, if valid, stored")


def _spooled(_outcome: Spooled, asked: Asked) -> Answer:
    return _accepted(asked, "spooled", "it is on disk here until the broker takes it; then it will be judged")


def _accepted(asked: Asked, status: str, detail: str) -> Answer:
    content = {"status": status, "detail": detail}
    place, known = _place(KINDS[asked.kind].path, asked.path)
    content["uri" if known else "uri_template"] = asked.base + place
    applied = () if asked.applied is None else ((b"preference-applied", asked.applied.encode()),)
    return Answer(202, content, applied, status)


def _place(template: str, path: str) -> tuple[str, bool]:
    """Where the message will be read, as far as the path it was sent to says, and whether that is all of it."""
    parts, sent = template.split("/"), path.split("/")
    if len(sent) > len(parts) or any(part[:1] != "{" and part != own for part, own in zip(parts, sent, strict=False)):
        return template, False
    return "/".join(sent + parts[len(sent) :]), len(sent) == len(parts)


def refused(refusal: Refusal) -> Answer:
    """503, and when to come again; 400 or 413 for what would be refused again."""
    if refusal in HOPELESS:
        status = 413 if refusal is Refusal.TOO_LARGE else 400
        return fault(status, _REFUSALS[refusal], {"reason": refusal.value}, code=refusal.value)
    headers = ((b"retry-after", str(RETRY_AFTER_SECONDS).encode()),)
    return fault(503, _REFUSALS[refusal], {"reason": refusal.value}, code=refusal.value, headers=headers)


def kind_off(kind: str, setting: str) -> Answer:
    """200: the door takes none of this kind, as `setting` says, and nothing is kept of it."""
    content = {"stored": False, "rule": KIND_OFF, "detail": f"{kind} is turned off here: {setting}=false"}
    return Answer(200, content, ((b"x-ingest-rule", KIND_OFF.encode()),), KIND_OFF)


Answers = Mapping[type[Outcome], Callable[[Any, Asked], Answer]]
"""What is answered to an outcome of each class."""

ANSWERS: Final[Answers] = MappingProxyType(
    {
        Created: _created,
        DuringRun: _during_run,
        Invalid: _invalid,
        UnknownRun: _unknown_run,
        Conflict: _conflict,
        Queued: _queued,
        Spooled: _spooled,
        Refused: lambda outcome, _asked: refused(outcome.refusal),
    }
)
"""What is answered where a door has no answer of its own."""


def of_outcome(outcome: Outcome, asked: Asked, answers: Answers = ANSWERS) -> Answer:
    """The answer that tells the truth about an outcome. Raises KeyError for a Pong, which answers no POST."""
    answer = answers[type(outcome)](outcome, asked)
    told = getattr(outcome, "told", "")
    if not told or isinstance(answer.content, bytes):
        return answer
    return replace(answer, content={**answer.content, "letter": told})


def fault(
    status: int,
    error: str,
    details: Mapping[str, Any] | None = None,
    *,
    code: str,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    """Any answer that says no: `error` is one sentence for a person, `details` its parts by name."""
    content: dict[str, Any] = {"error": error}
    if details:
        content["details"] = dict(details)
    return Answer(status, content, headers, code)


FORBIDDEN: Final = fault(403, "not allowed", code="forbidden")
"""Tells nothing of why."""


def render(answer: Answer, *, problem: bool = False) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The header fields and the body to send; `problem` asks for RFC 9457's form of an error."""
    if answer.status == 304:
        return list(answer.headers), b""  # It says nothing of a body but which one is still good (RFC 9110, 15.4.5).
    content, media = answer.content, answer.media
    if problem and answer.status >= 400 and not isinstance(content, bytes):
        content, media = _problem(answer, content), PROBLEM
    body = content if isinstance(content, bytes) else to_ascii(content) + b"\n"
    length = str(len(body)).encode()
    return [(b"content-type", media), (b"content-length", length), *answer.headers], body


def _problem(answer: Answer, content: Mapping[str, Any]) -> dict[str, Any]:
    document = {
        "type": "about:blank",
        "title": HTTPStatus(answer.status).phrase,
        "status": answer.status,
        "detail": said if isinstance(said := content["error"], str) else "; ".join(said),
        "code": answer.code,
    }
    return document | {name: value for name, value in content.items() if name in ("details", "letter")}
