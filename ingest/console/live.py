"""Numbers for pages that are open, as server-sent events: each names the elements of a page by what they show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.responses import StreamingResponse

from ingest.diagnostics.now.trend import told
from schemas.labels import LETTER_STATES

SECONDS: Final = 2.0
TIMES: Final = 150
"""After so many a stream ends, and the browser asks anew: whoever's session has ended meanwhile is not let in."""


def stream(look: Callable[[], Awaitable[Mapping[str, Any]]]) -> StreamingResponse:
    """A stream of `numbers`, until the browser goes or it has lasted long enough."""

    async def events() -> AsyncIterator[str]:
        for _ in range(TIMES):
            yield f"event: numbers\ndata: {json.dumps(await look())}\n\n"
            await asyncio.sleep(SECONDS)

    return StreamingResponse(events(), media_type="text/event-stream")


def numbers(found: Mapping[str, Any]) -> dict[str, str]:
    """Name -> what stands there now, a dash for what nobody knows; a name is that of an element's `data-live`."""
    unseen = found["faults"]
    shown = {"backlog": None if "broker" in unseen else found["backlog"], "in_hand": found["in_hand"]}
    shown |= {f"queue {name}": queue["ready"] for name, queue in found["queues"].items()}
    shown |= {f"letters {state}": found["letters"].get(state) for state in LETTER_STATES}
    shown["rate"] = found["rate"] if found["machines"] else None
    refused = told(found["trend"]["refused"])
    shown["refused"] = sum(refused) if refused else None
    said = {name: "–" if value is None else f"{value:g}" for name, value in shown.items()}
    age = found["trend"]["age"]
    said |= {f"age {name}": "–" if age is None else _age(age[name]) for name in ("p50", "p99")}
    return said | {"unseen": _unseen(unseen)}


def _age(seconds: int) -> str:
    return f"{seconds} s" if seconds else "< 1 s"


def _unseen(faults: Mapping[str, Any]) -> str:
    """What an open page says of what it can no longer know."""
    if not faults:
        return ""
    return f"{' and '.join(faults).capitalize()} not seen: what only they know is a dash here until they are."
