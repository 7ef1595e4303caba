"""Laws of stray bytes: what is kept of a body that is no UTF-8 gives back its bytes."""

import json

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from judge_samples import EXAMPLE, NODE, ORGANIZATION, RUN_ID, run_end

from schemas.kinds.extra import FLAG, flagged, is_flagged, pack, unpack
from schemas.kinds.stray import count, mark, restore
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.conflict import differences
from schemas.validation.decode import decode
from schemas.validation.judge import Candidate, Judge
from schemas.verdict import Invalid

JUDGE = Judge.from_settings(Settings())
LIMIT = 100_000
LOOKALIKE = chr(0x10F7E9).encode()
PIECES = [
    b"\xff", b"\xe9", b"\xed\xa0\x80", b"\xc3", b"\xf4\x8f\x9f", "\ufffd".encode(), LOOKALIKE, "é".encode(), b"E9",
]  # fmt: skip

bodies = st.lists(st.binary(max_size=6) | st.sampled_from(PIECES), max_size=8).map(b"".join)


def is_utf8(body):
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(bodies)
@example(b"\xff" + LOOKALIKE)
@example("\ufffd".encode() + LOOKALIKE + b"\xff" + LOOKALIKE)
def test_a_marked_body_is_given_back(body):
    """Whatever the bytes, the text that marks them gives them back, and it is text."""
    assume(not is_utf8(body))
    marked = mark(body, LIMIT)
    assert marked is not None
    assert restore(marked.text) == body
    assert marked.text.encode().decode() == marked.text
    assert 0 < marked.strays <= count(marked.text)


strings = st.lists(
    st.sampled_from([*PIECES, b"\\n", b"\\\\", b'\\"', b"\\u00e9", b"\\ufffd", b"\\u0000", b" ", b"a"]), max_size=8
).map(b"".join)


def spelled(string):
    """The bytes that a JSON string of these stands for."""
    text = string.decode("utf-8", "surrogateescape")
    return json.loads(f'"{text}"').encode("utf-8", "surrogateescape")


def dirty_end(*, run_list=b"[]", name=b"/a", after=b"", other=b""):
    """A run end of which some strings are these bytes."""
    body = (
        b'{"action":"end","resources":[{"type":"file","name":"%b","id":"/a","before":{},"after":{"x":"%b"},'
        b'"duration":"1","delta":"","result":"create"},{"type":"file","name":"/b","id":"/b","duration":"1",'
        b'"result":"create"}],"status":"success","run_list":"%b","total_res_count":"2","data":{},'
        b'"start_time":"2026-11-21 19:34:20 -0800","end_time":"2026-11-22 03:34:21 UTC","other":"%b"}'
    ) % (name, after, run_list, other)
    return Message("run_end", body, "http", ORGANIZATION, NODE, RUN_ID)


@given(strings, strings, strings, strings)
@example(b"\xff", b"\\ufffd" + LOOKALIKE, LOOKALIKE, b"\\ufffdE9")
def test_a_stored_report_gives_back_its_strings(run_list, name, after, other):
    """Of a run end with bytes that are no UTF-8 each column gives back what was sent: text what the sender's string
    stands for, JSON what the sender wrote."""
    assume(not is_utf8(run_list + b" " + name + b" " + after + b" " + other))
    judged = JUDGE(dirty_end(run_list=run_list, name=name, after=after, other=other))
    assert isinstance(judged, Candidate)
    row = judged.row
    assert restore(row.run_list) == spelled(run_list)
    assert restore(row.resources[0].name) == spelled(name)
    assert restore(row.resources[0].after) == b'{"x":"%b"}' % after
    assert restore(unpack(row.extra)["other"]) == b'"%b"' % other
    assert is_flagged(row.extra)
    assert is_flagged(row.resources[0].extra) == (count(row.resources[0].name + row.resources[0].after) > 0)
    assert not is_flagged(row.resources[1].extra)


def test_bytes_are_marked_where_everybody_sees_them():
    """A stored text shows U+FFFD where a byte was none, once for each, and is as sent elsewhere."""
    row = JUDGE(dirty_end(run_list=b"caf\xe9 \xed\xa0\x80", other="ü\ufffd".encode())).row
    assert "".join(each for each in row.run_list if each < "\U0010f780") == "caf\ufffd \ufffd\ufffd\ufffd"
    assert row.extra.startswith(f"{FLAG}4,")
    assert restore(unpack(row.extra)["other"]) == '"ü\ufffd"'.encode()


@pytest.mark.parametrize(
    ("kind", "door", "kept"),
    [
        ("run_start", "http", True),
        ("run_end", "http", True),
        ("action", "http", False),
        ("action", "chef", False),
        ("action", "collector", True),
    ],
)
def test_who_keeps_them(kind, door, kept):
    """Run reports and the data collector keep bytes that are no UTF-8; POST /messages and the exchange do not."""
    start = b'{"action":"start","run_id":"%b","start_time":"2026-11-21 19:34:20 -0800","x":"\xff"}' % RUN_ID.encode()
    body = {
        "run_start": start,
        "run_end": dirty_end(name=b"\xff").payload,
        "action": EXAMPLE.replace(b"app1", b"\xff"),
    }[kind]
    run_id = RUN_ID if kind == "run_end" else None
    judged = JUDGE(Message(kind, body, door, ORGANIZATION, NODE, run_id))
    assert isinstance(judged, Candidate) is kept
    if not kept:
        assert (judged.stage, judged.reason) == ("decode", "not_utf8")


@pytest.mark.parametrize(
    "body",
    [
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff\x00"}',
        b'{"a":"\xff"',
        b'{"a":\xff}',
        b'{"a":"\xff\\uDBFD\\uDFE9"}',
        b'{"a":"' + b"\xff" * 15_000 + b'"}',
    ],
)
def test_what_is_still_refused(body):
    """What is no JSON either, what spells a mark by escapes, and what would become too large, is not UTF-8."""
    verdict = decode(body, None, max_bytes=LIMIT, max_depth=32, strays=True)
    assert isinstance(verdict, Invalid)
    assert verdict.reason == "not_utf8"


def test_another_byte_is_another_report():
    """Reports that differ in a byte that is no UTF-8 differ; the same one again does not."""
    first, again, other = (JUDGE(dirty_end(name=name)).row for name in (b"caf\xe9", b"caf\xe9", b"caf\xe8"))
    assert differences(first, again) == {}
    assert list(differences(first, other)) == ["resources.0.name"]


def test_a_secret_beside_a_stray_byte_is_cut():
    """Redaction finds its members in text with marks, and leaves the marks."""
    judge = Judge.from_settings(Settings(redact_anywhere="password"))
    row = judge(dirty_end(after=b'\xe9","password":"caf\xe9')).row
    assert restore(row.resources[0].after) == b'{"x":"\xe9","password":"[redacted]"}'


def test_the_flag_is_told_from_a_member_of_its_name():
    """A sender's member that is called as the flag is kept as any other, and flags nothing."""
    name = json.loads(FLAG + "0}").popitem()[0]
    row = JUDGE(run_end(**{name: 7})).row
    assert not is_flagged(row.extra)
    assert unpack(row.extra)[name] == "7"
    alone = pack({name: msgspec.Raw(b"7")}, ())
    assert not is_flagged(alone)
    assert is_flagged(flagged(alone, 3))
    assert unpack(alone) == unpack(flagged(alone, 3)) == {name: "7"}
    assert unpack(flagged(None, 3)) == {}
    assert pack({}, ()) is None


def test_utf_8_is_stored_as_it_was():
    """In UTF-8 nothing is marked: a character that would pass for a mark stays itself, in a row without a flag."""
    sent = chr(0xFFFD) + chr(0x10F7E9)
    row = JUDGE(dirty_end(run_list=sent.encode())).row
    assert (row.run_list, is_flagged(row.extra)) == (sent, False)
