"""What a segment of the spool holds is found again, whatever is cut off or damaged, and nothing else is."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from ingest.spool.record import (
    _HEAD,
    DRAINED,
    PREAMBLE_BYTES,
    STATE_OFFSET,
    Damaged,
    Record,
    Torn,
    encode,
    preamble,
    scan,
)
from schemas.message import Message

BEGINNING = preamble()
MESSAGES = (
    Message("action", b'{"id":1}', "collector", "acme", content_encoding="gzip", speaks_for=("acme", "b")),
    Message("action", b"", "collector"),
    Message("action", bytes(range(256)), "collector", "\u00e4"),
)
RECORDS = tuple(encode(BEGINNING, message, 1700000000 + number) for number, message in enumerate(MESSAGES))
WHOLE = BEGINNING + b"".join(RECORDS)
STARTS = tuple(PREAMBLE_BYTES + sum(map(len, RECORDS[:number])) for number in range(len(RECORDS)))


def messages(data: bytes) -> list[Message]:
    return [found.message for found in scan(data) if isinstance(found, Record)]


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=9)
names = st.none() | texts


@given(
    st.lists(
        st.tuples(
            st.builds(
                Message,
                kind=texts,
                payload=st.binary(max_size=60),
                door=texts,
                organization=names,
                node=names,
                run_id=names,
                content_encoding=names,
                speaks_for=st.none() | st.lists(texts, max_size=3).map(tuple),
            ),
            st.integers(0, 2**40),
        ),
        max_size=5,
    )
)
def test_a_message_and_when_it_came_are_as_they_were(kept: list[tuple[Message, int]]) -> None:
    """Every message of a segment comes back, its payload and envelope unchanged, in order, with its time, waiting."""
    data = BEGINNING + b"".join(encode(BEGINNING, *each) for each in kept)
    found = [each for each in scan(data) if isinstance(each, Record)]
    assert [(each.message, each.received) for each in found] == kept
    assert not any(each.drained for each in found)
    assert PREAMBLE_BYTES + sum(each.size for each in found) == len(data)


def test_a_segment_cut_off_anywhere_has_every_record_before_the_cut() -> None:
    """At whatever byte its writer died: the records before are whole, the last one's beginning is torn, not damaged."""
    for end in range(len(WHOLE) + 1):
        whole = sum(end >= start + len(record) for start, record in zip(STARTS, RECORDS, strict=True))
        found = list(scan(WHOLE[:end]))
        assert messages(WHOLE[:end]) == list(MESSAGES[:whole])
        boundaries = (0, PREAMBLE_BYTES, *(start + len(record) for start, record in zip(STARTS, RECORDS, strict=True)))
        assert [type(each) for each in found[whole:]] == ([] if end in boundaries else [Torn])


def test_a_power_cut_may_leave_zeros_for_a_last_record() -> None:
    """Zeros where a content was never written are torn, and what was synced before them is whole."""
    for end in range(0, len(WHOLE) + 1, 7):
        start = max(each for each in (0, *STARTS, len(WHOLE)) if each <= end)
        data = WHOLE[:start] + b"\0" * 300
        assert messages(data) == list(MESSAGES[: sum(start > each for each in STARTS)])
        assert isinstance(list(scan(data))[-1], Torn)


def test_one_damaged_byte_costs_no_other_record() -> None:
    """Whichever byte of a record in the middle is another: it is told as damaged, in its place, or is still itself."""
    for at in range(STARTS[1], STARTS[2]):
        data = bytearray(WHOLE)
        data[at] ^= 0x41
        found = list(scan(bytes(data)))
        if at == STARTS[1] + STATE_OFFSET:
            assert messages(bytes(data)) == list(MESSAGES)
            assert not any(each.drained for each in found if isinstance(each, Record))
        else:
            assert messages(bytes(data)) == [MESSAGES[0], MESSAGES[2]]
            assert found[1] == Damaged(STARTS[1], len(RECORDS[1]))


def test_a_damaged_last_record_is_no_torn_one() -> None:
    """A last record that is all there was told of: with one byte damaged it is kept aside, never cut off."""
    for at in range(STARTS[2], len(WHOLE)):
        data = bytearray(WHOLE)
        data[at] ^= 0x41
        last = list(scan(bytes(data)))[-1]
        assert isinstance(last, Record if at == STARTS[2] + STATE_OFFSET else Damaged)


def test_no_payload_passes_for_a_record() -> None:
    """A payload that is itself a segment, in a record whose head is damaged, is damage and no message."""
    forged = Message("action", b"{}", "http", speaks_for=None)
    other = preamble()
    payload = other + encode(other, forged, 1)
    data = bytearray(BEGINNING + encode(BEGINNING, Message("action", payload, "collector"), 1) + RECORDS[0])
    data[PREAMBLE_BYTES] ^= 1
    assert messages(bytes(data)) == [MESSAGES[0]]


def test_a_mark_says_that_the_broker_has_it() -> None:
    """The byte that changes makes a record drained, and its checksums hold."""
    data = bytearray(WHOLE)
    data[STARTS[1] + STATE_OFFSET : STARTS[1] + STATE_OFFSET + 1] = DRAINED
    assert [each.drained for each in scan(bytes(data)) if isinstance(each, Record)] == [False, True, False]


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_no_bytes_are_too_odd(noise: bytes, at: int) -> None:
    """Whatever is in a file: what is found covers it without gaps, and nothing raises."""
    for data in (noise, BEGINNING + noise, WHOLE[:at] + noise + WHOLE[at:]):
        end = PREAMBLE_BYTES if len(data) >= PREAMBLE_BYTES and data[:20] == BEGINNING[:20] else 0
        for each in scan(data):
            assert each.offset == end
            end += each.size
        assert end == len(data)


def test_an_envelope_that_is_none_is_damaged() -> None:
    """A record whose checksums hold and whose envelope can't be read is told, not skipped, and stops nothing."""
    for rest in (b"", b"\0\0\0\x02{}", b"\0\0\0\x05[1,2]", b"\0\0\0\x09not JSON"):
        checks = zlib.crc32(len(rest).to_bytes(4, "big")), zlib.crc32(rest)
        data = BEGINNING + _HEAD.pack(BEGINNING[-8:], ord("w"), len(rest), *checks) + rest + RECORDS[0]
        found = list(scan(data))
        assert (type(found[0]), messages(data)) == (Damaged, [MESSAGES[0]])
