"""A toy Chef server: posts its actions to a data collector as erchef does."""

from __future__ import annotations

import json
from collections import deque
from http.client import BadStatusLine, HTTPConnection, HTTPException
from typing import Any, Final

CONNECTION_REQUESTS: Final = 100
"""After so many a connection is given up."""
TIMEOUT_SECONDS: Final = 30.0


class Erchef:
    """Keeps a pool of connections to one root_url.

    Its API's caller waits for `notify`. What is not answered 2xx is dropped and never tried again, with one exception:
    a pooled connection that was closed under it, for which the same bytes go out once more on another one.
    """

    def __init__(self, place: str, token: str, *, path: str = "/data-collector/v0") -> None:
        """`place` is HOST:PORT; the path gets exactly one slash at its end."""
        self._place, self._token, self._path = place, token, path.rstrip("/") + "/"
        self._idle: deque[tuple[HTTPConnection, int]] = deque()
        self.dropped: list[bytes] = []

    def notify(self, action: dict[str, Any]) -> int | None:
        """The status of the answer, None without one."""
        body = json.dumps(action).encode()
        connection, requests = self._idle.popleft() if self._idle else self._connected()
        try:
            status = self._post(connection, body)
        except (BadStatusLine, ConnectionError):
            connection.close()
            if not requests:
                return self._drop(body)
            connection, requests = self._connected()
            try:
                status = self._post(connection, body)
            except (HTTPException, OSError):
                return self._drop(body)
        except (HTTPException, OSError):
            connection.close()
            return self._drop(body)
        self._keep(connection, requests + 1)
        if not 200 <= status < 300:
            self.dropped.append(body)
        return status

    def healthy(self) -> bool:
        """What its `/_status` makes of the data collector."""
        connection = HTTPConnection(self._place, timeout=0.4)
        try:
            connection.request("GET", self._path, headers=self._fields())
            return 200 <= connection.getresponse().status < 300
        except (HTTPException, OSError):
            return False
        finally:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.popleft()[0].close()

    def _connected(self) -> tuple[HTTPConnection, int]:
        return HTTPConnection(self._place, timeout=TIMEOUT_SECONDS), 0

    def _fields(self) -> dict[str, str]:
        return {"content-type": "application/json", "x-data-collector-token": self._token}

    def _post(self, connection: HTTPConnection, body: bytes) -> int:
        connection.request("POST", self._path, body, self._fields())
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def _keep(self, connection: HTTPConnection, requests: int) -> None:
        if requests < CONNECTION_REQUESTS and connection.sock is not None:
            self._idle.append((connection, requests))
        else:
            connection.close()

    def _drop(self, body: bytes) -> None:
        self.dropped.append(body)
