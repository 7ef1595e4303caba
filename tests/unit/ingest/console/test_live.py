"""Numbers for open pages: one look serves them all, and none of them is in a view's way."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

from console_support import console, machine

from ingest.console.views.machine import Machine


class Hanging(Machine):
    """Its broker answers when it is told to."""

    def look(self) -> dict[str, Any]:
        asked.set()
        answered.wait()
        return super().look()


asked, answered = threading.Event(), threading.Event()


def test_pages_that_wait_for_numbers_hold_up_no_other_page(tmp_path: Path) -> None:
    """Twenty are open while the broker hangs."""
    looked_at = machine(tmp_path)
    hanging = Hanging(looked_at.settings, looked_at.state)
    with console(hanging) as client, contextlib.ExitStack() as undo:
        undo.callback(answered.set)
        streams = [undo.enter_context(client.stream("GET", "/live")) for _ in range(20)]
        assert {each.status_code for each in streams} == {200}
        assert asked.wait(60)
        assert client.get("/actions").status_code == 503
        answered.set()
        assert all(next(each.iter_lines()) == "event: numbers" for each in streams)
