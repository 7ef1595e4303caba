"""Takes a payload's gzip off, for eyes and editors."""

from __future__ import annotations

import zlib

LIMIT_BYTES = 64 * 1024 * 1024


def inflated(payload: bytes, content_encoding: str | None) -> bytes | None:
    """The plain bytes; None when they can't be had, or are more than LIMIT_BYTES."""
    if content_encoding in (None, "", "identity"):
        return payload
    if content_encoding not in ("gzip", "x-gzip"):
        return None
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(payload, LIMIT_BYTES)
    except zlib.error:
        return None
    return plain if inflater.eof else None
