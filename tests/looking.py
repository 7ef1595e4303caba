"""Looks at the tests' databases and queues, by one connection for each that is kept until it is given back.

A test that waits asks twenty times a second: connecting each time took a third of a core.
"""

from __future__ import annotations

from typing import Any

from ingest.soak.tables import Looking

_KEPT: dict[str, Looking] = {}


def rows(database_url: str, sql: str, *values: object) -> list[Any]:
    """What a statement, committed at once, returns."""
    if database_url not in _KEPT:
        _KEPT[database_url] = Looking(database_url=database_url)
    return _KEPT[database_url].rows(sql, *values)


def messages(amqp_url: str, queue: str) -> int:
    """Messages ready in a queue."""
    if amqp_url not in _KEPT:
        _KEPT[amqp_url] = Looking(amqp_url)
    return _KEPT[amqp_url].counts([queue])[queue][0]


def forget(url: str) -> None:
    """Leaves that database or vhost."""
    if looking := _KEPT.pop(url, None):
        looking.close()
