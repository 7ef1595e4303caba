"""Load: several senders at once, over HTTP and AMQP, on a thread of their own, every answer in the ledger."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self

from ingest.soak.amqp_sender import AmqpClient
from ingest.soak.http_sender import HttpClient, Response
from ingest.soak.ledger import SoakLedger
from ingest.soak.workload import Script, Sending

PROMISES: Final = (200, 201, 202)
AMQP_WINDOW: Final = 100
"""Publishes that one AMQP sender has under way at once."""

DONE_SECONDS: Final = 120.0
"""How long the last answers may take."""

Said = Literal["promised", "refused", "again"]
"""What a sender makes of an answer: done; done, and what follows is off; worth another try."""
Way = Literal["201", "202", "amqp"]
"""Over HTTP waiting for the verdict, over HTTP with `Prefer: respond-async`, or to the Chef servers' exchange."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends the scripts of `source` one way, `rate` scripts a second at most (0: as fast as it goes).

    `tries`: how often a message is sent that is answered 5xx or not at all; `pause` seconds lie between.
    """

    way: Way
    url: str
    source: Iterator[Script]
    rate: float = 0.0
    tries: int = 1
    pause: float = 0.5
    seen: Callable[[Sending, Response], None] = field(default=lambda *_: None)


class Load:
    """Runs senders until their sources are dry or it is stopped; use as a context manager."""

    def __init__(self, ledger: SoakLedger, senders: list[Sender]) -> None:
        self._ledger = ledger
        self._senders = senders
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Send nothing more, wait for what is under way. Raises what a sender failed of."""
        self._stop.set()
        self.join()

    def join(self, seconds: float = DONE_SECONDS) -> None:
        """Wait until the sources are dry."""
        self._thread.join(seconds)
        if self._failure is not None:
            raise self._failure
        if self._thread.is_alive():
            answers = dict(self._ledger.answers)
            raise TimeoutError(f"the senders were not done within {seconds:g} s, answers so far: {answers}")

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failure = error

    async def _main(self) -> None:
        self._ledger.begin(time.monotonic())
        try:
            async with asyncio.TaskGroup() as group:
                for sender in self._senders:
                    group.create_task(self._amqp(sender) if sender.way == "amqp" else self._http(sender))
        finally:
            self._ledger.end(time.monotonic())

    async def _paced(self, sender: Sender) -> Any:
        """The scripts, one at a time, no faster than the rate."""
        began, number = time.monotonic(), 0
        for script in sender.source:
            while not self._stop.is_set():
                wait = began + number / sender.rate - time.monotonic() if sender.rate else 0
                if wait <= 0:
                    break
                await asyncio.sleep(min(wait, 0.1))
            if self._stop.is_set():
                return
            # What could not be sent in time is not made up for: a stall must not end in a flood.
            number += 1
            if sender.rate:
                number = max(number, int((time.monotonic() - began - 1) * sender.rate))
            yield script

    async def _http(self, sender: Sender) -> None:
        client = HttpClient(sender.url)

        async def send(sending: Sending) -> Said:
            return await self._post(client, sender, sending)

        try:
            async for script in self._paced(sender):
                await self._play(sender, script, send)
        finally:
            client.close()

    async def _amqp(self, sender: Sender) -> None:
        client = AmqpClient(sender.url)
        slots = asyncio.Semaphore(AMQP_WINDOW)

        async def send(sending: Sending) -> Said:
            return await self._publish(client, sending)

        async def play(script: Script) -> None:
            try:
                await self._play(sender, script, send)
            finally:
                slots.release()

        async with asyncio.TaskGroup() as group:
            async for script in self._paced(sender):
                await slots.acquire()
                group.create_task(play(script))
        await client.close()

    async def _play(self, sender: Sender, script: Script, send: Callable[[Sending], Coroutine[Any, Any, Said]]) -> None:
        for sending in script:
            for left in range(sender.tries, 0, -1):
                said = await send(sending)
                if said == "promised":
                    break
                if said == "refused" or left == 1 or self._stop.is_set():
                    return
                await asyncio.sleep(sender.pause)

    async def _post(self, client: HttpClient, sender: Sender, sending: Sending) -> Said:
        headers = dict(sending.headers)
        if sender.way == "202":
            headers["Prefer"] = "respond-async"
        self._ledger.sent(sending.key, sending.body, fate=sending.fate, mark=sending.mark)
        try:
            response = await client.post(sending.path, sending.body, headers)
        except (OSError, EOFError, TimeoutError) as error:
            self._ledger.refused(sending.key, type(error).__name__)
            await asyncio.sleep(0.05)
            return "again"
        if response.status in PROMISES:
            self._ledger.acknowledged(sending.key, str(response.status), time.monotonic())
        else:
            self._ledger.refused(sending.key, str(response.status))
        sender.seen(sending, response)
        if response.status in PROMISES:
            return "promised"
        return "again" if response.status >= 500 else "refused"

    async def _publish(self, client: AmqpClient, sending: Sending) -> Said:
        self._ledger.sent(sending.key, sending.body, fate=sending.fate, mark=sending.mark)
        outcome = await client.publish(sending)
        if outcome == "confirmed":
            self._ledger.acknowledged(sending.key, outcome, time.monotonic())
            return "promised"
        self._ledger.refused(sending.key, outcome)
        await asyncio.sleep(0.05)
        return "again"
