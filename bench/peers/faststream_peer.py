"""Peer: FastStream (RabbitMQ), batching by hand, fastjsonschema, psycopg executemany (pipelined).

FastStream's own batches are for Kafka and Confluent; for RabbitMQ a team gathers by hand, acks with `multiple`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from typing import Any

import fastjsonschema
import psycopg
import uvloop
from action_table import INSERT, read_environment, to_row
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

IDLE_SECONDS = 0.05

environment = read_environment()
validate = fastjsonschema.compile(environment.schema)
broker = RabbitBroker(
    environment.amqp_url,
    default_channel=Channel(prefetch_count=environment.prefetch),
    # Asking for the message as a parameter costs a thread switch each: it is taken from the context instead.
    apply_types=False,
    # At WARNING: two lines a message cost more than the message.
    logger=logging.getLogger("bench"),
)
app = FastStream(broker)
waiting: asyncio.Queue[tuple[dict[str, Any], RabbitMessage]] = asyncio.Queue()


@broker.subscriber(RabbitQueue(environment.queue, declare=False), ack_policy=AckPolicy.MANUAL)
async def store(body: dict[str, Any]) -> None:
    message = broker.context.get_local("message")
    try:
        validate(body)
    except fastjsonschema.JsonSchemaValueException:
        await message.reject()
        return
    waiting.put_nowait((to_row(body), message))


async def gather() -> list[tuple[dict[str, Any], RabbitMessage]]:
    """A batch: full, or what there is when nothing more comes."""
    batch = [await waiting.get()]
    while len(batch) < environment.batch:
        try:
            batch.append(waiting.get_nowait())
        except asyncio.QueueEmpty:
            try:
                batch.append(await asyncio.wait_for(waiting.get(), IDLE_SECONDS))
            except TimeoutError:
                break
    return batch


async def commit_batches() -> None:
    try:
        await commit_forever()
    except Exception:
        # What was not acked goes back to the queue.
        traceback.print_exc()
        os._exit(1)


async def commit_forever() -> None:
    async with await psycopg.AsyncConnection.connect(environment.database_url) as database:
        while True:
            batch = await gather()
            async with database.transaction(), database.cursor() as cursor:
                await cursor.executemany(INSERT, [row for row, _ in batch])
            # Refused messages have been settled already; the broker skips their tags.
            newest = max(batch, key=lambda each: each[1].raw_message.delivery_tag)
            await newest[1].raw_message.ack(multiple=True)


@app.after_startup
async def begin() -> None:
    app.context.set_global("committing", asyncio.create_task(commit_batches()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    uvloop.install()
    asyncio.run(app.run())
