"""What goes through COPY's text reads back as it was."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from consumers.database.copy import copy_text


def uncopied(line: bytes) -> list[str | None]:
    """What PostgreSQL reads from a line of COPY text, by its documentation."""
    names = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    fields = line.decode().removesuffix("\n").split("\t")
    return [None if f == "\\N" else re.sub(r"\\(.)", lambda m: names[m[1]], f) for f in fields]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["\\N", "\\.", "\\", "\t"])


@given(st.lists(st.one_of(texts, st.none()), min_size=1, max_size=6))
def test_copy_text_reads_back_as_the_row(row: list[str | None]) -> None:
    """Tabs, line breaks, backslashes and NULL survive COPY's text format."""
    assert uncopied(copy_text([row])) == row
