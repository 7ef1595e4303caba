"""A sender as a Chef server would be one, were it careful: publishes to its exchange, mandatory and confirmed."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import pika

from ingest.publisher.connection import BrokerConnection, hosts
from ingest.publisher.nacks import Nacks
from ingest.soak.workload import Sending
from schemas.doors import CHEF_EXCHANGE

HEARTBEAT_SECONDS: Final = 10
CONFIRM_SECONDS: Final = 20.0


class AmqpClient:
    """One connection with publisher confirms, made again after each loss; many publishes may be under way."""

    def __init__(self, amqp_url: str, exchange: str = CHEF_EXCHANGE) -> None:
        self._hosts = hosts(amqp_url, heartbeat=HEARTBEAT_SECONDS)
        self._exchange = exchange
        self._connection: BrokerConnection | None = None
        self._up: asyncio.Future[bool] | None = None
        self._down: asyncio.Future[None] | None = None
        self._outcomes: dict[str, asyncio.Future[str]] = {}
        self._number = 0
        self._nacks = Nacks()

    async def publish(self, sending: Sending) -> str:
        """`confirmed`, or in a word why not: it may have arrived even so."""
        connection = await self._connected()
        if connection is None:
            return "no connection"
        self._number += 1
        name = str(self._number)
        outcome = self._outcomes[name] = asyncio.get_running_loop().create_future()
        try:
            properties = pika.BasicProperties(
                correlation_id=name, delivery_mode=2, content_encoding=sending.headers.get("Content-Encoding")
            )
            connection.publish(name, sending.routing_key, sending.body, properties)
            return await asyncio.wait_for(outcome, CONFIRM_SECONDS)
        except pika.exceptions.AMQPError:
            return "no connection"
        except TimeoutError:
            return "no confirm"
        finally:
            self._outcomes.pop(name, None)

    async def close(self) -> None:
        """Leave; what is unconfirmed stays unconfirmed."""
        if self._connection is not None:
            self._down = asyncio.get_running_loop().create_future()
            self._connection.close()
            await asyncio.wait([self._down], timeout=2)

    async def _connected(self) -> BrokerConnection | None:
        if self._connection is None and self._up is None:
            self._up = asyncio.get_running_loop().create_future()
            BrokerConnection(self._hosts, self, exchange=self._exchange)
        if self._up is not None:
            await asyncio.shield(self._up)
        return self._connection

    # What the connection tells us.

    def connection_up(self, connection: BrokerConnection) -> None:
        self._connection = connection
        self._settle_connecting(True)

    def connection_down(self, connection: BrokerConnection, why: str) -> None:
        self._connection = None
        self._settle_connecting(False)
        if self._down is not None and not self._down.done():
            self._down.set_result(None)
        for name in list(self._outcomes):
            self._resolve(name, "connection lost")

    def blocked(self, connection: BrokerConnection, why: str | None) -> None:
        """The broker blocks us: our publishes wait, as a Chef server's would."""

    def settled(self, correlation_id: str, confirmed: bool) -> None:
        self._resolve(correlation_id, "confirmed" if confirmed else "nack")
        if confirmed:
            self._nacks.confirmed(self._exchange)
        elif self._connection is not None and self._nacks.nacked(self._exchange, time.monotonic()):
            self._connection.close()

    def returned(self, correlation_id: str) -> None:
        self._resolve(correlation_id, "returned")

    def replied(self, body: bytes) -> None:
        """Nobody replies to a Chef server."""

    def _settle_connecting(self, up: bool) -> None:
        waiting, self._up = self._up, None
        if waiting is not None and not waiting.done():
            waiting.set_result(up)

    def _resolve(self, name: str, outcome: str) -> None:
        future = self._outcomes.get(name)
        if future is not None and not future.done():
            future.set_result(outcome)
