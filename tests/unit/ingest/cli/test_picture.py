"""`status` as a person sees it: the verdict first, then what is wrong, and never more than the screen holds."""

from __future__ import annotations

import io
import os
import pty
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from consumers.machines.supervisors import Home
from consumers.machines.view import machines
from ingest.cli.screen.picture import Picture, folded, verdict
from ingest.cli.screen.trail import Trail, sparkline
from ingest.cli.screen.watch import watching
from ingest.diagnostics.now.trend import trend

NOW = datetime(2026, 11, 22, 12, 30, 15, tzinfo=UTC)


def worker(pid: int, **facts: Any) -> dict[str, Any]:
    """A row as a supervisor tells it."""
    return {
        "pid": pid, "lane": "main", "state": "consuming", "why": "", "in_hand": 3, "up_seconds": 60.0 + pid,
        "silent_seconds": 0.4, "deaths": 0, "last_death": "",
    } | facts  # fmt: skip


def seen(**facts: Any) -> dict[str, Any]:
    """What `gather` finds of a system that is well, but for `facts`."""
    supervisor = {
        "pid": 1, "mode": "running", "wanted": 6, "auto": "", "rate": 812.5, "totals": {"stored": 9}, "deaths": 0,
        "last_death": None, "workers": [*(worker(10 + each) for each in range(6)), worker(9, lane="quarantine")],
    }  # fmt: skip
    cause = {"letters": 7, "stage": "meaning", "reason": "blank_name", "fingerprint": "7983d6f519fe42f1"}
    queues = {
        f"ingest.{name}": {"ready": 0, "consumers": 6} for name in ("actions", "runs", "dead", "pings", "collector")
    }
    found = {
        "faults": {}, "blocked": [], "pauses": [], "supervisor": supervisor, "queues": queues,
        "letters": {"open": 7, "parked": 0},
        "causes": [cause | {"last_seen": NOW - timedelta(minutes=3)}] * 5, "backlog": 0, "in_hand": 21,
        "seconds_to_drain": 0.0, "shim": {"url": "http://127.0.0.1:8080", "ready": True}, "spool": {},
        "partitions_until": "2027-03-01", "troubles": [], "trend": trend(()),
    } | facts  # fmt: skip
    here = machines(found["supervisor"], [], Home("here", "/run/chef-ingest"))
    return {"machines": here, "rate": sum(each["rate"] for each in here)} | found


def lines(picture: Picture, width: int = 80, height: int = 24) -> list[str]:
    """The lines of a terminal."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture, end="")
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def watched(found: dict[str, Any]) -> Picture:
    """As `--watch` draws it."""
    trail = Trail()
    trail.add(found)
    return Picture(found, NOW, trail)


@pytest.mark.parametrize("width", [80, 100])
def test_what_is_wrong_stands_where_no_screen_ends(width: int) -> None:
    """The verdict is the first line, what blocks the next ones, and what found no room is counted."""
    blocked = [
        f"worker {pid} paused: DATABASE_URL postgresql://ingest:***@db/ingest: 25006 read-only" for pid in (1, 2)
    ]
    drawn = lines(watched(seen(blocked=blocked, faults={"broker": "no answer"})), width)
    assert drawn[0].startswith("12:30:15Z  TROUBLE (2 blocked, 1 not seen): 6 workers consume, 812.5 messages/s")
    assert drawn[1].startswith("blocked: worker 1 paused")
    assert "not seen: broker: no answer" in drawn[1:6]
    assert all(len(line) <= width for line in drawn)
    small = lines(watched(seen(blocked=blocked)), width, 12)
    assert len(small) == 12
    assert small[:2] == [line.replace(", 1 not seen", "") for line in small[:2]]
    assert small[-1].startswith("... ")
    assert small[-1].endswith(" more lines")
    left = int(small[-1].split()[1])
    assert left == len(lines(watched(seen(blocked=blocked)), width, 100)) - 11


def test_a_system_that_is_well_fits_the_smallest_screen() -> None:
    """Six workers, five causes and all queues in 24 lines of 80, with how backlog and rate went."""
    drawn = lines(watched(seen()))
    assert drawn[0] == "12:30:15Z  well: 6 workers consume, 812.5 messages/s; backlog 0, 21 in hand"
    assert not any(line.startswith("...") for line in drawn)
    assert any(line.startswith("rate    █") for line in drawn)
    assert sum("consuming" in line for line in drawn) == 2
    assert sum("ingest." in line for line in drawn) == 1
    assert any("3 min ago" in line and "7983d6f5" in line for line in drawn)


def test_workers_alike_are_one_row_and_others_are_not() -> None:
    """What is held is summed, the longest silence is told, and whoever differs has a row of his own."""
    rows = folded([worker(1), worker(2, silent_seconds=4.0), worker(3, state="silent", silent_seconds=12.0)])
    assert [(row["pid"], row["in_hand"], row["heard"]) for row in rows] == [
        ("1 +1", 6, "4 s ago"),
        ("3", 3, "12 s ago"),
    ]


def test_a_backlog_says_whether_anything_drains_it() -> None:
    """A backlog of 0 is not all there is while workers hold messages."""
    assert "backlog 5, nothing drains it, 21 in hand" in verdict(seen(backlog=5, seconds_to_drain=None))
    assert "backlog 5000, 2 min to drain" in verdict(seen(backlog=5000, seconds_to_drain=130.0))
    assert verdict(seen(supervisor={}, faults={"broker": "x", "supervisor": "y"})) == "TROUBLE (2 not seen)"


def test_a_death_is_told_with_its_cause() -> None:
    """However long ago it was."""
    found = seen()
    found["supervisor"] |= {"deaths": 2, "last_death": {"lane": "main", "why": "ended by SIGKILL", "seconds_ago": 7300}}
    assert "2 deaths; the last 2 h ago, main: ended by SIGKILL" in lines(Picture(found, NOW))


def test_a_sparkline_is_as_high_as_its_highest() -> None:
    """Zeros are low, the latest stands last, and a terminal without such characters gets others."""
    assert sparkline([0, 4, 8], 10) == "▁▅█"
    assert sparkline([1, 0, 8], 2) == "▁█"
    assert sparkline([0, 0], 10) == "▁▁"
    assert sparkline([], 10) == ""
    assert sparkline([0, 8], 10, "_%") == "_%"


def test_keys_are_heard_while_looking_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """+ is obeyed and its answer drawn though no second look has come; q ends; the terminal is as it was."""
    parent, child = pty.openpty()
    drawn: list[str] = []
    looks = iter([True])
    never = threading.Event()

    def look() -> bool:
        return next(looks, False) or never.wait()

    def draw(_: bool, said: str) -> str:
        drawn.append(said)
        if said:
            os.write(parent, b"q")
        return said

    monkeypatch.setattr("sys.stdin", os.fdopen(child, "rb", closefd=False))
    os.write(parent, b"x+")
    watching(look, draw, Console(file=io.StringIO(), force_terminal=True), {"+": lambda: "scaled"})
    assert drawn[-1] == "scaled"
    os.close(parent)
    os.close(child)
