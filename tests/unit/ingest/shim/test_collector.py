"""The data collector's door knows every kind that it carries by its body."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from kind_examples import examples

from ingest.http.outcome import QUEUED
from ingest.http.requests import Request
from ingest.shim.doors import collector
from ingest.shim.doors.entry import Entry
from schemas.doors import COLLECTOR
from schemas.message import Message
from schemas.settings import Settings

EXAMPLES = [
    pytest.param(kind, each, id=f"{kind} {each.name}")
    for kind in COLLECTOR.kinds
    for folder in ("valid", "refused")
    for each in examples(kind, folder)
]


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_what_senders_send_has_its_kind(kind: str, example: Any) -> None:
    """Also a message that is refused later, so that its sender is answered as that kind's senders must be."""
    taken: list[Message] = []

    class Broker:
        message_bytes = math.inf

        def refusal(self) -> None:
            return None

        def publish(self, message: Message, **_: Any) -> tuple[str, asyncio.Future[Any]]:
            taken.append(message)
            future = asyncio.get_running_loop().create_future()
            future.set_result(QUEUED)
            return "1", future

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": example.path.read_bytes()}

    async def post() -> None:
        broker: Any = Broker()
        route = next(iter(collector.routes(Entry(Settings(), broker))))
        scope = {"method": "POST", "headers": [], "path": route.path, "query_string": b"", "scheme": "http"}
        await route.handler(Request(scope, receive))  # type: ignore[arg-type]

    asyncio.run(post())
    assert [(message.kind, message.door) for message in taken] == [(kind, COLLECTOR.word)]
