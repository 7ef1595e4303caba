"""A shim that is told to stop while it still connects lets go of its connection, and dies of nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from operate_support import declared

from ingest.publisher.connection import BrokerConnection, hosts
from tests.patience import LONG


@dataclass
class Owner:
    """Who is told once, when a connection is gone, and whether it had been up."""

    down: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    was_up: bool = False

    def connection_up(self, _connection: BrokerConnection) -> None:
        self.was_up = True

    def connection_down(self, _connection: BrokerConnection, why: str) -> None:
        self.down.set_result(why)

    def blocked(self, _connection: BrokerConnection, _why: str | None) -> None: ...

    def settled(self, _correlation_id: str, _confirmed: bool) -> None: ...

    def returned(self, _correlation_id: str) -> None: ...

    def replied(self, _body: bytes) -> None: ...


TURN_SECONDS = 0.0002
MOMENTS = 30


async def turns_until_up(amqp_url: str) -> int:
    """How many turns of the loop a connection takes that nobody lets go of before it is up."""
    owner, turns = Owner(), 0
    connection = BrokerConnection(hosts(amqp_url, heartbeat=30), owner)
    while not owner.was_up:
        await asyncio.sleep(TURN_SECONDS)
        turns += 1
    connection.close()
    await asyncio.wait_for(owner.down, LONG)
    return turns


async def closed_after(amqp_url: str, turns: int) -> None:
    """Let go of a connection after so many turns of its loop, and wait until it is gone."""
    owner = Owner()
    connection = BrokerConnection(hosts(amqp_url, heartbeat=30), owner)
    for _ in range(turns):
        await asyncio.sleep(TURN_SECONDS)
    connection.close()
    await asyncio.wait_for(owner.down, LONG)
    assert turns or not owner.was_up


def test_a_connection_can_be_let_go_of_at_whatever_moment_of_its_beginning(amqp_url: str) -> None:
    """While it looks its host up, connects, shakes hands, opens its channel, and once it is up."""
    declared(amqp_url)
    needed = asyncio.run(turns_until_up(amqp_url))
    for moment in range(MOMENTS):
        asyncio.run(closed_after(amqp_url, needed * moment // MOMENTS))
