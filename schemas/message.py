"""A message is a payload, its bytes never touched, and the envelope that says what it is and whence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

PING: Final = "ping"

HEADER_ORGANIZATION: Final = "x-organization"
HEADER_NODE: Final = "x-node"
HEADER_RUN_ID: Final = "x-run-id"
HEADER_SPEAKS_FOR: Final = "x-speaks-for"
"""The organizations that its sender may speak for, an array; without it, any."""
HEADER_SPEAKS_AS: Final = "x-speaks-as"
"""The node that its sender is, and may speak for; without it, any."""
HEADER_ORIGIN_EXCHANGE: Final = "x-origin-exchange"
HEADER_ORIGIN_ROUTING_KEY: Final = "x-origin-routing-key"
HEADER_ORIGIN_QUEUE: Final = "x-origin-queue"
"""Set with those two on a message that is moved: the queue that it was taken from."""
HEADER_DOOR: Final = "x-door"
"""Set with those on a message that is moved or sent again: the door it came in by."""
HEADER_GIVEN_UP: Final = "x-given-up"
"""Set on a suspect off the dead letter queue that is moved to quarantine: why the broker had given it up. It is made
a letter there, alone and unjudged; coming back from there it is parked."""
HEADER_PARKED: Final = "x-parked-reason"
"""Set on what is parked because not even a letter could be made of it."""
HEADER_ANSWER_BY: Final = "x-answer-by"
"""Set on a run end, and where an answer is waited for less than ANSWER_SECONDS: the UNIX time, in whole seconds, after
which nobody waits for it."""
ANSWER_SECONDS: Final = 2.0
"""How long an answer is waited for at least, from the message's timestamp on, where that header is not set."""
HEADER_SENDER: Final = "x-sender"
"""What a shim knows of who sent it, as JSON text: members of SENDER that are text, each of LONGEST_SENDER characters at
most; for people who look at its letter, and never to decide by."""
SENDER: Final = ("who", "userid", "address", "forwarded_for", "user_agent")
"""What a shim can know of a sender: its name once authenticated, X-Ops-Userid, the address it connected from, and
X-Forwarded-For and User-Agent as it wrote them."""
LONGEST_SENDER: Final = 200
HEADER_RETRIES: Final = "x-retries"
HEADER_LETTER: Final = "x-letter-id"
"""Set on a replay: the dead letter that the message came from."""
HEADER_REPLAY: Final = "x-replay"
"""Set beside it: the number of the replay, so that a second copy is told from a second replay."""
TRACEPARENT: Final = "traceparent"
"""W3C Trace Context's header, in HTTP and in AMQP."""

OUR_HEADERS: Final = (
    HEADER_ORGANIZATION, HEADER_NODE, HEADER_RUN_ID, HEADER_SPEAKS_FOR, HEADER_SPEAKS_AS, HEADER_ORIGIN_EXCHANGE,
    HEADER_ORIGIN_ROUTING_KEY, HEADER_ORIGIN_QUEUE, HEADER_DOOR, HEADER_GIVEN_UP, HEADER_PARKED, HEADER_ANSWER_BY,
    HEADER_SENDER, HEADER_RETRIES, HEADER_LETTER, HEADER_REPLAY,
)  # fmt: skip
"""What shims and workers write; under any other hand they mean nothing."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """What a consumer judges. (A msgspec Struct: one is made for every message, and it is made ten times faster.)

    `payload` is the bytes as the sender sent them, still encoded by `content_encoding`
    (None, "identity" or "gzip"). `organization`, `node` and `run_id` come from the URL of a
    run report, unparsed, and are None for actions. `door` is a door's word, and says which schema profile holds.
    `speaks_for`: the organizations that the sender may speak for in the body; None: any. `speaks_as`: the node that he
    may speak for there; None: any. `sender`: the value of HEADER_SENDER.
    """

    kind: str
    payload: bytes
    door: str
    organization: str | None = None
    node: str | None = None
    run_id: str | None = None
    content_encoding: str | None = None
    speaks_for: tuple[str, ...] | None = None
    speaks_as: str | None = None
    sender: str | None = None

    def headers(self) -> dict[str, str | list[str]]:
        """The envelope facts that travel as AMQP headers; the inverse of `from_headers`."""
        facts = (
            (HEADER_ORGANIZATION, self.organization),
            (HEADER_NODE, self.node),
            (HEADER_RUN_ID, self.run_id),
            (HEADER_SPEAKS_AS, self.speaks_as),
            (HEADER_SENDER, self.sender),
        )
        told: dict[str, str | list[str]] = {name: value for name, value in facts if value is not None}
        if self.speaks_for is not None:
            told[HEADER_SPEAKS_FOR] = list(self.speaks_for)
        return told

    @classmethod
    def from_headers(
        cls,
        payload: bytes,
        *,
        kind: str,
        door: str,
        content_encoding: str | None,
        headers: Mapping[str, object],
    ) -> Message:
        """A message from what the broker delivered; a header that is not text counts as absent."""
        if not headers:
            return cls(kind, payload, door, content_encoding=content_encoding)
        return cls(
            kind,
            payload,
            door,
            organization=_text(headers.get(HEADER_ORGANIZATION)),
            node=_text(headers.get(HEADER_NODE)),
            run_id=_text(headers.get(HEADER_RUN_ID)),
            content_encoding=content_encoding,
            speaks_for=_organizations(headers),
            speaks_as=_text(headers.get(HEADER_SPEAKS_AS)) or "" if HEADER_SPEAKS_AS in headers else None,
            sender=_text(headers.get(HEADER_SENDER)),
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _organizations(headers: Mapping[str, object]) -> tuple[str, ...] | None:
    """None without the header. One that can't be read lets its sender speak for nobody."""
    if HEADER_SPEAKS_FOR not in headers:
        return None
    value = headers[HEADER_SPEAKS_FOR]
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
