"""HOST:PORT is read in one way, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.address import Address, parse


@given(st.sampled_from(["127.0.0.1", "::1", "localhost", "host.example"]), st.integers(0, 65535))
def test_an_address_survives_being_written(host: str, port: int) -> None:
    """IPv6 stands in brackets, as in a URL."""
    assert parse(str(Address(host, port))) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":80", "80", "host", "host:", "host:65536", "host:-1", "host:+1", "host:1_0", "host:８０", "h:80\n", "h:8 0"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Typing slips are told, not listened on."""
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        parse(text)
