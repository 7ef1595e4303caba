"""Renders rows as PostgreSQL's COPY text format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SPECIAL = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r"))
_NULL = b"\\N"


def copy_text(rows: Iterable[Sequence[str | int | None]]) -> bytes:
    """Lines for `COPY ... FROM STDIN`, UTF-8; None is NULL. A lone surrogate raises UnicodeEncodeError."""
    return b"".join([_line(row) for row in rows])


def _line(row: Sequence[str | int | None]) -> bytes:
    fields = [_NULL if value is None else (value if type(value) is str else str(value)).encode() for value in row]
    joined = b"\t".join(fields)
    # Looking at the whole line is cheaper than looking into each field. Most lines are plain, but for the NULLs,
    # whose backslash is the one that is meant; the others have JSON with escapes in it, and nothing else.
    if joined.count(b"\t") != len(row) - 1 or b"\n" in joined or b"\r" in joined:
        special: Sequence[tuple[bytes, bytes]] = _SPECIAL
    elif joined.count(b"\\") == row.count(None):
        return joined + b"\n"
    else:
        special = _SPECIAL[:1]
    for at, value in enumerate(row):
        if value is not None:
            for raw, escaped in special:
                fields[at] = fields[at].replace(raw, escaped)
    return b"\t".join(fields) + b"\n"
