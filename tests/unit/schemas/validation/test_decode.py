"""Laws of decoding: bounded, strict, and exact about what it refuses."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from judge_samples import JSON

from schemas.validation.decode import Body, decode, inflate
from schemas.verdict import Invalid

LIMIT = 1000


def run(payload, encoding=None, max_bytes=LIMIT, max_depth=32):
    return decode(payload, encoding, max_bytes=max_bytes, max_depth=max_depth)


@pytest.mark.parametrize(
    ("payload", "encoding", "reason"),
    [
        (b"{}", "br", "content_encoding"),
        (b"{}", "gzip, gzip", "content_encoding"),
        (b"{}", "gzip", "not_gzip"),
        (b"", "gzip", "not_gzip"),
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip", "not_gzip"),
        (gzip.compress(b"{}", mtime=0) + b"x", "gzip", "not_gzip"),
        (gzip.compress(b"", mtime=0) * 65, "gzip", "not_gzip"),
        (gzip.compress(b" " * (LIMIT + 1), mtime=0), "gzip", "too_large"),
        (b" " * (LIMIT + 1), None, "too_large"),
        (b'{"a":"\xff"}', None, "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', None, "not_utf8"),
        (b"\xef\xbb\xbf{}", None, "not_utf8"),
        ('{"a":1}'.encode("utf-16"), None, "not_utf8"),
        (b"", None, "not_json"),
        (b'{"a":NaN}', None, "not_json"),
        (b'{"a":-Infinity}', None, "not_json"),
        (rb'{"a":["\ud800 and more to come"]}', None, "not_json"),
        (rb'{"a":"\udc00 and more to come"}', None, "not_json"),
        (b'{"a":"\x01"}', None, "not_json"),
        (b'{"a":1}{}', None, "not_json"),
        (b'{"a":01}', None, "not_json"),
        (b"[1]", None, "not_object"),
        (b"null", None, "not_object"),
        (b'"text"', None, "not_object"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", None, "too_deep"),
        (b'{"a":1,"a":1}', None, "duplicate_member"),
        (b"{" + b",".join(b'"%d":1' % each for each in range(1001)) + b"}", None, "too_many_members"),
    ],
)
def test_each_reason(payload, encoding, reason):
    """Each damaged body is refused for the one reason that is true of it."""
    verdict = run(payload, encoding, max_bytes=20_000 if reason == "too_many_members" else LIMIT)
    assert isinstance(verdict, Invalid)
    assert (verdict.stage, verdict.reason) == ("decode", reason)
    assert verdict.details


@pytest.mark.parametrize(
    ("payload", "encoding", "word"),
    [
        (b"", None, "empty"),
        (b" \r\n", None, "empty"),
        (b"", "gzip", "empty"),
        (gzip.compress(b"", mtime=0), "gzip", "empty"),
        (b"{", None, "cut off"),
        (b'{"a":{"b":"}', None, "cut off"),
        (b'{"a":1,', None, "cut off"),
        (b'{"a":1}}', None, "trailing"),
    ],
)
def test_nothing_and_half_of_something_are_called_that(payload, encoding, word):
    """An empty body is called empty and one that breaks off is called cut: whoever sent it looks at its sender."""
    verdict = run(payload, encoding)
    assert isinstance(verdict, Invalid)
    assert word in verdict.details["message"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " x-gzip "])
def test_gzip_is_inflated_members_and_all(encoding):
    """Any spelling of gzip is inflated, several gzip members in one body too, up to the very limit."""
    body = b'{"a":"' + b"x" * (LIMIT - 8) + b'"}'
    payload = gzip.compress(body[:10]) + gzip.compress(body[10:])
    assert inflate(payload, encoding, LIMIT) == body
    assert isinstance(inflate(payload, encoding, LIMIT - 1), Invalid)


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity"])
def test_unencoded_bodies_pass_unchanged(encoding):
    """Without an encoding the body is the payload."""
    assert inflate(b"{}", encoding, LIMIT) == b"{}"


def test_memory_stays_flat_under_a_bomb():
    """A body that would inflate to 200 MB takes little more memory than the limit allows."""
    bomb = gzip.compress(b" " * 200_000_000, compresslevel=1)
    tracemalloc.start()
    try:
        assert inflate(bomb, "gzip", 1_000_000).reason == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


KEY = st.text(alphabet='a b\\"é\n😀', max_size=3)
SPACE = st.text(alphabet=" \n\t\r", max_size=2)


@given(st.lists(st.tuples(KEY, JSON), max_size=6), SPACE, st.booleans())
@example([("a", 12), ("a", 1)], "", True)
@example([("a", 1), ("a", 12)], " ", True)
@example([("é", 1), ("é", 1)], "", True)
@example([("", [1, 2]), ("b", 1), ("", [1, 2])], "\n", False)
def test_duplicates_are_found_exactly(pairs, space, ascii_only):
    """A body is refused for a duplicate exactly when two top-level members have one name, however it is written."""
    written = [
        f"{json.dumps(key, ensure_ascii=ascii_only)}{space}:{space}{json.dumps(value, ensure_ascii=not ascii_only)}"
        for key, value in pairs
    ]
    body = space + "{" + space + f"{space},{space}".join(written) + space + "}" + space
    found = run(body.encode(), max_bytes=100_000, max_depth=100)
    names = [key for key, _ in pairs]
    if len(set(names)) < len(names):
        assert found.reason == "duplicate_member"
        assert all(names.count(name) > 1 for name in found.details)
    else:
        assert isinstance(found, Body)
        assert {name: json.loads(bytes(raw)) for name, raw in found.members.items()} == dict(pairs)
