"""What systemd is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from consumers.runtime.systemd import Notifier


def test_systemd_is_told_and_its_absence_is_harmless(tmp_path: Path) -> None:
    """The protocol's own words go to the socket, an abstract one too; without one nothing happens."""
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()
    for address in (str(tmp_path / "s"), "@chef-ingest-test-" + str(os.getpid())):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(address.replace("@", "\0"))
            notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
            assert notifier.watchdog_seconds == 30
            notifier.alive("all well")
            assert systemd.recv(1000) == b"WATCHDOG=1\nSTATUS=all well"
