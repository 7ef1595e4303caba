"""Ports for servers that are started later: none that the system gives to whoever connects meanwhile."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOWEST = 10_000


def free_port() -> int:
    """A loopback port that nobody holds, below those of outgoing connections."""
    highest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(LOWEST, highest)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
