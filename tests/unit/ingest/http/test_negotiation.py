"""What clients ask for in header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.negotiation import (
    Preference,
    content_coding,
    fields,
    names_tag,
    preference,
    valid_host,
    wants,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Preference(2.0)),
        (b"", Preference(2.0)),
        (b"return=minimal", Preference(2.0)),
        (b"respond-async", Preference(0.0, "respond-async")),
        (b"Respond-Async", Preference(0.0, "respond-async")),
        (b"wait=5", Preference(5.0, "wait=5")),
        (b'wait="5"', Preference(5.0, "wait=5")),
        (b" wait = 5 ; foo=bar", Preference(5.0, "wait=5")),
        (b"wait=0", Preference(0.0, "wait=0")),
        (b"wait=100", Preference(30.0, "wait=30")),
        (b"wait=5, wait=9", Preference(5.0, "wait=5")),
        (b"respond-async, wait=5", Preference(5.0, "respond-async, wait=5")),
        (b"wait=-1", Preference(2.0)),
        (b"wait=1_0", Preference(2.0)),
        (b"wait=\xb2", Preference(2.0)),
        (b"wait=5\n", Preference(5.0, "wait=5")),
        (b"wait=99999999999999999999", Preference(2.0)),
        (b"wait", Preference(2.0)),
        (b",,;=,", Preference(2.0)),
        (b", wait=5,\t,", Preference(5.0, "wait=5")),
        (b'foo="a, wait=9, b", wait=5;bar=","', Preference(5.0, "wait=5")),
        (b'foo="a\\", wait=9, b", wait=5', Preference(5.0, "wait=5")),
        (b'foo="a, wait=5', Preference(5.0, "wait=5")),
    ],
)
def test_preference(value: bytes | None, expected: Preference) -> None:
    """A Prefer field is read as RFC 7240 says, and what it can't mean is ignored."""
    assert preference(value, default=2.0, longest=30.0) == expected


@given(st.binary(max_size=200))
def test_preference_takes_anything(value: bytes) -> None:
    """No Prefer field raises, and none makes us wait longer than the longest wait."""
    found = preference(value, default=2.0, longest=30.0)
    assert 0 <= found.wait <= 30
    assert found.applied is None or found.applied.isascii()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False),
        (b"*/*", False),
        (b"application/json", False),
        (b"application/problem+json", True),
        (b"application/json, application/PROBLEM+json;q=0.5", True),
        (b"application/problem+json;q=0", False),
        (b"application/problem+json; q=0.000", False),
        (b"text/problem+json", False),
        (b",\t, application/problem+json ,", True),
        (b'text/plain;x=", application/problem+json,"', False),
    ],
)
def test_wants_problem(value: bytes | None, expected: bool) -> None:
    """A problem document is sent only to who names its media type and doesn't refuse it."""
    assert wants(value, b"application/problem+json") is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (b"", None), (b"identity", None), (b"gzip", "gzip"), (b"GZip", "gzip"), (b"x-gzip", "gzip")],
)
def test_content_coding(value: bytes | None, expected: str | None) -> None:
    """gzip in each of its spellings is gzip; identity and nothing are no coding."""
    assert content_coding(value) == expected


@pytest.mark.parametrize("value", [b"br", b"gzip, gzip", b"deflate", b"\xff", b"gzip\nx"])
def test_other_codings(value: bytes) -> None:
    """Any other coding, and more than one, is refused."""
    with pytest.raises(ValueError):  # noqa: PT011
        content_coding(value)


def test_fields_joins_repeated() -> None:
    """A field that comes several times is the list of its values, in order."""
    found = fields([(b"prefer", b"wait=1"), (b"host", b"a"), (b"prefer", b"respond-async")])
    assert found == {b"prefer": b"wait=1, respond-async", b"host": b"a"}


@pytest.mark.parametrize("value", [b"a", b"ingest.example.com:8080", b"127.0.0.1:1", b"[::1]:80", b"[::1]"])
def test_hosts(value: bytes) -> None:
    """A name, an IPv4 or a bracketed IPv6 address, with or without a port, is a host."""
    assert valid_host(value)


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"a/b", b"a@b", b"a:b", b"a:1\n", b'"', b"a:123456", b"\xc3\xa4", b"a" * 256]
)
def test_no_hosts(value: bytes) -> None:
    """Nothing that could change the meaning of a URL passes for a host."""
    assert not valid_host(value)


@given(st.lists(st.sampled_from([b"", b" ", b"\t", b"identity", b"Identity "])), st.lists(st.sampled_from([b"", b" "])))
def test_empty_elements_count_for_nothing(before: list[bytes], after: list[bytes]) -> None:
    """What a list holds beside its one coding, empty or identity, changes nothing (RFC 9110, 5.6.1)."""
    assert content_coding(b",".join([*before, b"gzip", *after])) == "gzip"
    assert content_coding(b",".join(before)) is None
    with pytest.raises(ValueError, match="gzip, gzip"):
        content_coding(b",".join([*before, b"gzip", *after, b"GZIP"]))


def test_thousands_of_fields_are_read_once_each() -> None:
    """Each field is looked at once, however many there are: repeated names, and names that come once."""
    looked = 0

    class Counted(bytes):
        def __hash__(self) -> int:
            nonlocal looked
            looked += 1
            return super().__hash__()

        def __eq__(self, other: object) -> bool:
            nonlocal looked
            looked += 1
            return super().__eq__(other)

    raw = [(Counted(b"x-%d" % (number % 5000)), b"%d" % number) for number in range(10_000)]
    found = fields(raw)
    assert found[b"x-1"] == b"1, 5001"
    assert len(found) == 5000
    assert looked < 20 * len(raw)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, False), (b"", False), (b'"a"', True), (b'W/"a"', True), (b"*", True), (b'"b", "a"', True), (b"a", False),
        (b'"a', False), (b'"a, b"', False),
    ],
)  # fmt: skip
def test_names_tag(condition: bytes | None, expected: bool) -> None:
    """Weakly compared, as If-None-Match is."""
    assert names_tag(condition, b'"a"') is expected
