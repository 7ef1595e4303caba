"""HOST:PORT, as every setting that says where to listen is read."""

from __future__ import annotations

from typing import NamedTuple


class Address(NamedTuple):
    """`host` is a name or an IP address without brackets; `port` 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """As in a URL: IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """Raises ValueError for anything that is not HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))
