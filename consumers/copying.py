"""Renders rows as PostgreSQL's COPY text format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SPECIAL = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def copy_text(rows: Iterable[Sequence[str | int | None]]) -> bytes:
    """Lines for `COPY ... FROM STDIN`, UTF-8; None is NULL. A lone surrogate raises UnicodeEncodeError."""
    return "".join([_line(row) for row in rows]).encode()


def _line(row: Sequence[str | int | None]) -> str:
    fields = ["\\N" if value is None else value if type(value) is str else str(value) for value in row]
    joined = "\t".join(fields)
    # Looking once at the whole line is cheaper than looking into each field, and most lines are plain but for
    # the NULLs, whose backslash is the one that is meant.
    plain = joined.count("\t") == len(row) - 1 and "\n" not in joined and "\r" not in joined
    if plain and joined.count("\\") == row.count(None):
        return joined + "\n"
    return "\t".join([_field(value) for value in row]) + "\n"


def _field(value: str | int | None) -> str:
    if value is None:
        return "\\N"
    text = str(value)
    for raw, escaped in _SPECIAL:
        if raw in text:
            text = text.replace(raw, escaped)
    return text
