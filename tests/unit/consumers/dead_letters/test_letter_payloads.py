"""What an operator sees and edits of a letter is the whole of what was sent, or he is told why it can't be."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters.edit import editable, patched
from consumers.dead_letters.errors import NotEditable
from consumers.dead_letters.queries import pretty
from consumers.dead_letters.repository import Letter

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def letter(payload: bytes, content_encoding: str | None) -> Letter:
    return Letter(
        id=7, state="open", stage="schema", reason="schema", details={}, sqlstate=None, fingerprint="f",
        kind="action", door="http", organization=None, node=None, run_id=None, exchange="ingest",
        routing_key="action", content_encoding=content_encoding, properties={}, payload=payload,
        edited_payload=None, edited_encoding=None, attempts=1, replays=0, failed_replays=0, first_seen=NOON,
        last_seen=NOON, worker_version="1", resolution=None,
    )  # fmt: skip


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.sampled_from(["gzip", "x-gzip", "GZip"]))
def test_a_body_of_several_gzip_members_is_edited_whole(pieces: list[bytes], encoding: str) -> None:
    """Workers read every member, so what an editor saves must hold them all."""
    payload = b"".join(gzip.compress(each, mtime=0) for each in pieces)
    assert editable(letter(payload, encoding)) == b"".join(pieces)


def test_a_body_of_several_gzip_members_is_shown_and_patched_whole() -> None:
    """Half of a document is no document."""
    payload = gzip.compress(b'{"task": ', mtime=0) + gzip.compress(b'"update"}', mtime=0)
    assert json.loads(pretty(payload, "gzip")) == {"task": "update"}
    operations = [{"op": "replace", "path": "/task", "value": "create"}]
    assert json.loads(patched(letter(payload, "gzip"), operations)) == {"task": "create"}


@pytest.mark.parametrize(
    ("payload", "encoding", "why"),
    [
        (gzip.compress(b"{}")[:-3], "gzip", "it ends in the middle"),
        (b"{}", "gzip", "can't be inflated"),
        (b"{}", "br", "'br' is not supported"),
    ],
    ids=["cut short", "plain", "another coding"],
)
def test_a_body_that_can_not_be_inflated_is_refused_with_the_reason(payload: bytes, encoding: str, why: str) -> None:
    """Nobody edits bytes that he has not seen."""
    with pytest.raises(NotEditable, match=why):
        editable(letter(payload, encoding))
