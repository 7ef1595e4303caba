"""A sender over HTTP as bare as a client can be: one connection, one request at a time, no help from a library."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

REQUEST_SECONDS = 20.0
"""How long a client waits for an answer before it counts as none."""


@dataclass(frozen=True, slots=True)
class Response:
    """Status, header fields (names in lower case) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Keeps its connection between requests; makes another after any error."""

    def __init__(self, url: str, *, seconds: float = REQUEST_SECONDS) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._seconds = seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """The answer. Raises OSError, TimeoutError or EOFError when there is none: it may still have arrived."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(path, body, headers)
        except BaseException:
            self.close()
            raise

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        fields = {"Host": f"{self._host}:{self._port}", "Content-Length": str(len(body)), **headers}
        head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(head.encode("latin-1") + b"\r\n" + body)
        with contextlib.suppress(ConnectionError):
            # Who refuses a body answers before it has read it, and may close: the answer is there to read.
            await writer.drain()
        return await self._read(reader)

    async def _read(self, reader: asyncio.StreamReader) -> Response:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        content = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            self.close()
        return Response(int(lines[0].split()[1]), fields, content)

    def close(self) -> None:
        """Leave, without a word."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None
