"""What a client asks for in its header fields: how long to wait, which form of error, which coding. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Fields = Mapping[bytes, bytes]
"""Lower-case header field name -> value; repeated fields are joined by a comma (RFC 9110, 5.3)."""


def fields(raw: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The header fields of an ASGI scope as a mapping."""
    pairs = list(raw)
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    # One pass, whatever their number: thousands of small fields fit into a header.
    repeated: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        repeated.setdefault(name, []).append(value)
    return {name: b", ".join(values) for name, values in repeated.items()}


_ELEMENT: Final = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,])+')


def elements(value: bytes) -> list[bytes]:
    """What a list holds (RFC 9110, 5.6.1): empty elements count for nothing, and a comma in quotes parts none."""
    return [each for each in (part.strip(b" \t") for part in _ELEMENT.findall(value)) if each]


@dataclass(frozen=True, slots=True)
class Preference:
    """How long to wait for the verdict, in seconds, and what to say of it in Preference-Applied."""

    wait: float
    applied: str | None = None


_PREFERENCE: Final = re.compile(rb'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("[^"]*"|[^\s;,"]*))?.*', re.DOTALL)


def preference(value: bytes | None, *, default: float, longest: float) -> Preference:
    """What a Prefer field asks for (RFC 7240); what can't be understood is ignored.

    `respond-async` alone means no wait; with `wait=N` it means N seconds. N is cut to `longest`.
    """
    if not value:
        return Preference(default)
    found: dict[bytes, bytes] = {}
    for part in elements(value):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:
            # Of a preference that comes twice the first one counts (RFC 7240, 2).
            found.setdefault(match[1].lower(), (match[2] or b"").strip(b'"'))
    wait = _seconds(found.get(b"wait"), longest)
    words = ["respond-async"] if b"respond-async" in found else []
    if wait is not None:
        words.append(f"wait={wait:g}")
    if not words:
        return Preference(default)
    return Preference(0.0 if wait is None else wait, ", ".join(words))


def _seconds(value: bytes | None, longest: float) -> float | None:
    if value is None or not re.fullmatch(rb"[0-9]{1,9}", value):
        return None
    return min(float(value), longest)


BY_ACCEPT: Final = ((b"vary", b"accept"),)
"""The field of an answer whose form `wants` has decided (RFC 9110, 12.5.5)."""


def wants(accept: bytes | None, media: bytes) -> bool:
    """Whether an Accept field names this media type itself (RFC 9110, 12.5.1); wildcards don't."""
    if not accept or media not in accept.lower():
        return False
    for part in elements(accept.lower()):
        named, *parameters = (each.strip() for each in part.split(b";"))
        if named == media:
            return not any(re.fullmatch(rb"q\s*=\s*0(\.0{0,3})?", each) for each in parameters)
    return False


def names_tag(condition: bytes | None, tag: bytes) -> bool:
    """Whether an If-None-Match field names this ETag, or any (RFC 9110, 13.1.2)."""
    if not condition:
        return False
    return any(each in (b"*", tag, b"W/" + tag) for each in elements(condition))


def content_coding(value: bytes | None) -> str | None:
    """The coding of the body, as AMQP's content_encoding is to name it: None or `gzip`.

    The field is a list, in which identity counts for nothing.
    Raises ValueError for any other coding, and for several.
    """
    if value is None:
        return None
    codings = [each for each in elements(value.lower()) if each != b"identity"]
    if not codings:
        return None
    if len(codings) == 1 and codings[0] in (b"gzip", b"x-gzip"):
        # x-gzip is gzip (RFC 9110, 8.4.1.3).
        return "gzip"
    raise ValueError(b", ".join(codings).decode("latin-1"))


CODINGS: Final = b"gzip, identity"
"""What `content_coding` takes, as Accept-Encoding of a 415 says it (RFC 9110, 15.5.16)."""

_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def valid_host(value: bytes) -> bool:
    """Whether a Host field may stand in a URL that we hand out."""
    return len(value) <= 255 and _HOST.fullmatch(value) is not None
