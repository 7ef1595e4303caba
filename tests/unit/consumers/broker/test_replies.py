"""An answer goes to an address as a broker writes one, and to no other."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.broker.replies import is_direct

PREFIX = "amq.rabbitmq.reply-to."


@pytest.mark.parametrize(
    "written",
    [
        "g1h2AA5yZXBseUAxMDI5Mzc0OAAAAuUAAAAAawhHhA==.F3t8g0wCXDYxlNiOKWy4ZA==",
        "g2dkAA5yYWJiaXRAb25lLW5vZAAAEwcAAAAAAQ==.F3t8g0wCXDYxlNiOKWy4ZA==",
        "g1h3DnJlcGx5QDEwMjkzNzQ4AAAC5QAAAABrCEeE.a2V5",
    ],
    ids=["of today", "of the older form", "with a short atom"],
)
def test_what_a_broker_writes_is_an_address(written: str) -> None:
    """A process id's two external forms, and a key."""
    assert is_direct(PREFIX + written)
    pid, _, key = written.partition(".")
    raw = base64.b64decode(pid)
    for size in range(len(raw)):
        assert not is_direct(f"{PREFIX}{base64.b64encode(raw[:size]).decode()}.{key}"), "cut"
    assert not is_direct(f"{PREFIX}{base64.b64encode(raw + b'!').decode()}.{key}"), "too long"
    assert not is_direct(written)


@given(
    st.text()
    | st.text().map(PREFIX.__add__)
    | st.binary().map(lambda raw: f"{PREFIX}{base64.b64encode(raw).decode()}.k")
)
def test_anything_else_is_none(text: str) -> None:
    """Whatever it is, it is told from an address without a fault."""
    assert not is_direct(text)
