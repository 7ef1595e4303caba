"""A letter in a person's editor: nothing that is typed is lost, and nothing that was sent changes by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cli.dead.editor import END, Draft, indented, typed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON, st.booleans())
def test_indenting_changes_nothing_but_the_blanks(value: object, ascii_only: bool) -> None:
    """Whatever the JSON, it is the same value, and indented twice the same text."""
    text = indented(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))
    assert json.loads(text) == value
    assert indented(text) == text


def test_numbers_and_repeated_members_stay_as_they_were_sent() -> None:
    """What Python would write otherwise is not Python's to write."""
    assert indented(b'{"a":1.10,"a":1E400,"b":[]}') == b'{\n  "a": 1.10,\n  "a": 1E400,\n  "b": []\n}\n'
    assert indented(b"no JSON") == b"no JSON"


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where an editor leaves what it was given; it does what `do` says there."""
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\ncat "$1" >> {tmp_path}/seen\n. {tmp_path}/do\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    return tmp_path


def test_what_would_be_refused_is_opened_again_with_the_reason_and_kept(editor: Path) -> None:
    """The second time the reason stands at its head and the text is what was typed; left as it is, it is kept."""
    (editor / "do").write_text('sed -i s/removed/gone/ "$1"')
    draft = Draft(editor / "drafts" / "letter.json")
    text = typed(b'{"task":"removed"}', ["letter 1: schema"], draft, lambda text: "task: is none")
    assert text == b'{\n  "task": "gone"\n}\n'
    first, second = (editor / "seen").read_bytes().split(END)[0], (editor / "seen").read_bytes().split(END)[1]
    assert first == b"# letter 1: schema\n"
    assert b"# not saved: task: is none\n" in second
    draft.keep(text)
    assert draft.path.stat().st_mode & 0o777 == 0o600
    (editor / "do").write_text(":")
    assert typed(b'{"task":"removed"}', [], draft, lambda text: "") == text
    draft.drop()
    assert typed(b'{"task":"removed"}', [], draft, lambda text: "") is None


def test_a_head_that_was_taken_away_is_no_part_of_the_message(editor: Path) -> None:
    """With its last line missing, the lines that begin as comments do are left out."""
    (editor / "do").write_text('sed -i "/begins below/d; s/removed/delete/" "$1"')
    text = typed(b'{"task":"removed"}', ["why"], Draft(editor / "none"), lambda text: "")
    assert text == b'{\n  "task": "delete"\n}\n'
