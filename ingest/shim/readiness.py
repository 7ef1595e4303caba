"""Whether a publish would be confirmed and a worker would commit: one shared ping through the whole path."""

from __future__ import annotations

import asyncio
from typing import Final

from ingest.http.outcome import Queued, Refused, Spooled
from ingest.publisher.publisher import Publisher
from schemas.doors import IMPLIED
from schemas.message import PING, Message
from schemas.verdict import Pong

_PATIENCE_SECONDS: Final = 2.0
_REMEMBERED_SECONDS: Final = 1.0


class Readiness:
    """Asks at most one ping at a time, however many ask it."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._asking: asyncio.Task[str | None] | None = None
        self._answer: str | None = None
        self._answered_at = float("-inf")

    async def why_not(self) -> str | None:
        """Why we are not ready, in a word or a sentence; None: we are."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._answered_at < _REMEMBERED_SECONDS:
            return self._answer
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        # Shielded: whoever gives up takes the ping from nobody else.
        return await asyncio.shield(self._asking)

    async def _ask(self) -> str | None:
        try:
            message = Message(PING, b"{}", IMPLIED)
            _, future = self._publisher.publish(message, wait=_PATIENCE_SECONDS, ephemeral=True)
            match await asyncio.wait_for(future, _PATIENCE_SECONDS + 0.1):
                case Pong():
                    self._answer = None
                case Refused(refusal):
                    self._answer = refusal.value
                case Queued() | Spooled():
                    self._answer = "no consumer answered"
                case other:
                    self._answer = f"a consumer answered a ping with {other.code}"
        except TimeoutError:
            self._answer = "the broker did not confirm in time"
        finally:
            self._asking = None
        self._answered_at = asyncio.get_running_loop().time()
        return self._answer
