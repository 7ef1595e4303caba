"""Tables on a terminal of 80 and of 100 columns, and in a pipe."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from ingest.cli.dead.letters import GROUP_COLUMNS, LIST_COLUMNS
from ingest.cli.screen.tables import fitted, whole
from schemas.printable import ago

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WHY = "recorded_at: is no time: '2026-13-99T00:00:00Z' is no date of any calendar; entity_name: must not be blank"


def cause(letters: int) -> dict[str, Any]:
    """A row as `dead groups` has it."""
    return {
        "letters": letters, "open": letters, "kind": "collector_end", "stage": "meaning", "reason": "not_a_timestamp",
        "first_seen": NOW - timedelta(days=3), "last_seen": NOW - timedelta(minutes=4),
        "fingerprint": "7983d6f519fe42f1", "sample": 21_000, "why": WHY,
    }  # fmt: skip


def letter(number: int) -> dict[str, Any]:
    """A row as `dead list` has it."""
    return {
        "id": number, "state": "replaying", "kind": "collector_end", "stage": "database", "reason": "not_a_timestamp",
        "attempts": 1, "last_seen": NOW - timedelta(hours=2), "node": "web01.ponyville.example",
        "fingerprint": "7983d6f519fe42f1", "why": WHY,
    }  # fmt: skip


def printed(rows: list[dict[str, Any]], columns: tuple[str, ...], width: int) -> tuple[list[str], list[str]]:
    """The lines of a terminal, and the columns that found no room."""
    table, hidden = fitted(rows, columns, width, NOW)
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(table)
    return console.file.getvalue().splitlines(), hidden  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(("row", "columns"), [(cause, GROUP_COLUMNS), (letter, LIST_COLUMNS)])
def test_a_row_is_a_line_in_which_nothing_but_the_text_is_cut(width: int, row: Any, columns: tuple[str, ...]) -> None:
    """Ids, times, reasons and the fingerprint's beginning are whole at any width; the text is last and ends with it."""
    rows = [row(number) for number in (3, 20_999, 1_000_000)]
    lines, hidden = printed(rows, columns, width)
    assert len(lines) == 1 + len(rows)
    assert all(len(line) <= width for line in lines)
    for line, shown in zip(lines[1:], rows, strict=True):
        words = line.split()
        assert str(shown[columns[0]]) in words
        assert {"not_a_timestamp", "7983d6f5"} <= set(words)
        assert "recorded_at:" in words
        assert line.rstrip().endswith("…")
        assert ("last_seen" in hidden) or (ago(shown["last_seen"], NOW) in line)
    assert set(hidden) <= set(columns) - {columns[0], "reason", "fingerprint", "why"}


def test_what_has_room_is_shown() -> None:
    """Nothing is hidden or cut where the line is long enough."""
    lines, hidden = printed([letter(1)], LIST_COLUMNS, 300)
    assert hidden == []
    assert WHY in lines[1]


def test_text_that_is_shown_nowhere_else_is_wrapped_at_words() -> None:
    """A finding and its remedy share the line by need; neither is cut."""
    row = {"level": "broken", "check": "database settings", "finding": WHY, "remedy": "chef-ingest migrate"}
    lines, _ = printed([row], ("level", "check", "finding", "remedy"), 80)
    assert "database settings" in lines[1]
    assert "chef-ingest migrate" in lines[1]
    text = " ".join(line[27:58].strip() for line in lines[1:])
    assert sorted(text.split()) == sorted(WHY.split())


def test_a_pipe_gets_whole_cells_and_no_blanks_at_the_end() -> None:
    """Times are exact, fingerprints whole, and no line is as long as the longest one needs."""
    text = whole([cause(1), cause(20_000) | {"why": "short"}], GROUP_COLUMNS)
    assert "2026-11-22T11:56:00Z" in text
    assert "7983d6f519fe42f1" in text
    assert WHY in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert len({line.index(each) for line, each in zip(text.splitlines()[1:], (WHY, "short"), strict=True)}) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (59, "59 s ago"), (60, "1 min ago"), (7199, "1 h ago"), (90_000, "1 d ago"), (-120, "in 2 min")],
)
def test_an_age_is_told_in_one_unit(seconds: int, words: str) -> None:
    """The largest that counts it; what is to come is said to."""
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words
