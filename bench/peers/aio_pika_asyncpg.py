"""Peer: aio-pika, fastjsonschema, orjson, asyncpg copy_records_to_table through a staging table, uvloop."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
import fastjsonschema
import orjson
import uvloop
from action_table import COLUMNS, Environment, read_environment

IDLE_SECONDS = 0.05

STAGING = f"CREATE TEMP TABLE staging ON COMMIT DELETE ROWS AS SELECT {', '.join(COLUMNS)} FROM actions WITH NO DATA"
STORE = """
WITH fresh AS (
    INSERT INTO action_ids (id, recorded_at) SELECT DISTINCT ON (id) id, recorded_at FROM staging ORDER BY id
    ON CONFLICT (id) DO NOTHING RETURNING id)
INSERT INTO actions ({columns})
SELECT DISTINCT ON (id) {columns} FROM staging JOIN fresh USING (id) ORDER BY id
""".format(columns=", ".join(COLUMNS))

Received = tuple[tuple[Any, ...], aio_pika.abc.AbstractIncomingMessage]


def to_record(message: dict[str, Any]) -> tuple[Any, ...]:
    row = {name: message.get(name) for name in COLUMNS}
    row["recorded_at"] = datetime.fromisoformat(message["recorded_at"])
    row["data"] = orjson.dumps(message["data"]).decode() if "data" in message else None
    return tuple(row.values())


async def gather(waiting: asyncio.Queue[Received], size: int) -> list[Received]:
    batch = [await waiting.get()]
    while len(batch) < size:
        try:
            batch.append(waiting.get_nowait())
        except asyncio.QueueEmpty:
            try:
                batch.append(await asyncio.wait_for(waiting.get(), IDLE_SECONDS))
            except TimeoutError:
                break
    return batch


async def commit_batches(environment: Environment, waiting: asyncio.Queue[Received]) -> None:
    database = await asyncpg.connect(environment.database_url)
    await database.execute(STAGING)
    while True:
        batch = await gather(waiting, environment.batch)
        async with database.transaction():
            await database.copy_records_to_table("staging", records=[record for record, _ in batch], columns=COLUMNS)
            await database.execute(STORE)
        newest = max((message for _, message in batch), key=lambda each: each.delivery_tag)
        await newest.ack(multiple=True)


async def main() -> None:
    environment = read_environment()
    validate = fastjsonschema.compile(environment.schema)
    waiting: asyncio.Queue[Received] = asyncio.Queue()
    connection = await aio_pika.connect_robust(environment.amqp_url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=environment.prefetch)
    queue = await channel.get_queue(environment.queue)

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        try:
            body = orjson.loads(message.body)
            validate(body)
        except (orjson.JSONDecodeError, fastjsonschema.JsonSchemaValueException):
            await message.reject()
            return
        waiting.put_nowait((to_record(body), message))

    await queue.consume(on_message)
    await commit_batches(environment, waiting)


if __name__ == "__main__":
    uvloop.run(main())
