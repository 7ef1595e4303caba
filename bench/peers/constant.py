"""Limit: an ASGI application that reads the body and answers a constant, on the same server as the shim's."""

from __future__ import annotations

import sys

import uvicorn

_BODY = b'{"uri": "http://127.0.0.1/actions/00000000-0000-4000-8000-000000000000"}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
    (b"location", b"http://127.0.0.1/actions/00000000-0000-4000-8000-000000000000"),
]


async def application(scope, receive, send) -> None:
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    uvicorn.run(
        application, port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off", ws="none",
        access_log=False, log_level="warning", server_header=False, timeout_keep_alive=75, backlog=2048,
    )  # fmt: skip
