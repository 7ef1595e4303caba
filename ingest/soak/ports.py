"""Finds loopback ports that nobody holds now."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """So many different ports, free a moment ago."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in listeners]


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
