"""Keeps messages, then drains them, until a failpoint kills it; says on standard output what was told and taken."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from consumers.runtime.failpoints import from_environment
from ingest.http.outcome import Refusal
from ingest.spool.drainer import Drainer
from ingest.spool.spool import Spool
from schemas.message import Message
from tests.patience import LONG
from tests.spool_support import LIMIT, Taker, action


def said(word: str, message: Message) -> None:
    os.write(1, b"%s %s\n" % (word.encode(), message.payload))


def takes(message: Message) -> Refusal | None:
    said("taken", message)
    return None


async def live(folder: Path) -> None:
    failpoint = from_environment(os.environ)
    spool = Spool(folder, LIMIT, failpoint)

    async def keep(number: int) -> None:
        await spool.keep(action(number), LONG)
        said("kept", action(number))

    for first in range(0, 60, 3):
        await asyncio.gather(*map(keep, range(first, first + 3)))
    await Drainer(spool, Taker(takes), failpoint).turn()


asyncio.run(live(Path(sys.argv[1])))
