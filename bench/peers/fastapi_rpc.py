"""Peer: a FastAPI shim doing RPC with aio-pika (confirmed publish, direct reply-to, futures) to our own consumers."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

WAIT_SECONDS = 2.0
REPLY_TO = "amq.rabbitmq.reply-to"


class Rpc:
    """The usual pattern: RabbitMQ's direct reply-to (our workers answer nowhere else), a future for each correlation
    id."""

    async def connect(self, url: str) -> None:
        self._waiting: dict[str, asyncio.Future] = {}
        self._connection = await aio_pika.connect_robust(url)
        channel = await self._connection.channel(publisher_confirms=True)
        self._exchange = await channel.get_exchange("ingest")
        replies = await channel.get_queue(REPLY_TO)
        await replies.consume(self._on_reply, no_ack=True)

    async def _on_reply(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        # Our consumers send the verdicts of a batch together: [[correlation id, verdict], ...].
        for correlation_id, verdict in orjson.loads(message.body):
            future = self._waiting.get(correlation_id)
            if future is not None and not future.done():
                future.set_result(verdict)

    async def call(self, body: bytes) -> dict:
        correlation_id = str(uuid.uuid4())
        future = self._waiting[correlation_id] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(
            body,
            correlation_id=correlation_id,
            reply_to=REPLY_TO,
            type="action",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            await self._exchange.publish(message, "action", mandatory=True)
            return await asyncio.wait_for(future, WAIT_SECONDS)
        finally:
            del self._waiting[correlation_id]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.rpc = Rpc()
    await app.state.rpc.connect(os.environ["AMQP_URL"])
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/messages")
async def post_message(request: Request) -> Response:
    try:
        verdict = await request.app.state.rpc.call(await request.body())
    except TimeoutError:
        return JSONResponse({"status": "queued"}, 202)
    except aio_pika.exceptions.AMQPError as error:
        raise HTTPException(503, "the broker did not take it") from error
    if verdict["code"] != "created":
        return JSONResponse({"error": "Validation failed", "details": verdict.get("details")}, 400)
    uri = f"{request.base_url}{verdict['path'].lstrip('/')}"
    return JSONResponse({"uri": uri}, 201, headers={"Location": uri})


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="warning",
        timeout_keep_alive=75, backlog=2048,
    )  # fmt: skip
