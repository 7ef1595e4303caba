"""Rows of runs in Chef Reporting's form, as knife-reporting reads them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ingest.reads.own import embedded

Row = Mapping[str, Any]

_HISTORY: Final = ("run_id", "node_name", "status", "start_time")
_DETAIL: Final = (
    "node_name", "run_id", "status", "start_time", "end_time", "run_list", "total_res_count", "updated_res_count",
    "data",
)  # fmt: skip
_UNTOLD: Final[Mapping[str, Any]] = {"run_list": "[]", "total_res_count": 0, "updated_res_count": 0, "data": "{}"}
"""Of a run that has not ended: the gem parses the one, and counts with the others."""
_RESOURCE: Final = ("cookbook_name", "cookbook_version", "duration", "id", "type", "name", "result")


def history(rows: Sequence[Row]) -> bytes:
    """A list of runs."""
    return msgspec.json.encode({"run_history": [{name: each[name] for name in _HISTORY} for each in rows]})


def run(row: Row, resources: Sequence[Row], place: str, *, detail: bool = True) -> bytes:
    """A run and some of its resources, whose URLs begin with `place`; `detail`: and what is known of it."""
    shown: dict[str, Any] = {}
    if detail:
        known = {name: _UNTOLD.get(name) if row[name] is None else row[name] for name in _DETAIL}
        shown["run_detail"] = embedded(known | ({"status": "aborted"} if row["aborted"] else {}), "data")
    shown["run_resources"] = [_resource(each, place) for each in resources]
    return msgspec.json.encode(shown)


def _resource(row: Row, place: str) -> dict[str, Any]:
    states = embedded({"initial_state": row["before"], "final_state": row["after"]}, "initial_state", "final_state")
    return {"uri": f"{place}/{row['position']}"} | {name: row[name] for name in _RESOURCE} | states


def resource(row: Row) -> bytes:
    """What a run changed in one resource."""
    return msgspec.json.encode({"resource_detail": {"content_delta": row["delta"] or ""}})


def counts(rows: Sequence[Row], unit: str) -> bytes:
    """How many runs began in each stretch of time that had any."""
    return msgspec.json.encode({"granularity": unit, "run_counts": rows})


def durations(row: Row) -> bytes:
    """How long runs took, in seconds; null where none ended."""
    return msgspec.json.encode({"run_durations": row})


def status(*, database: bool) -> bytes:
    """Whether Reporting's parts work; its index is the database's."""
    word = "online" if database else "offline"
    return msgspec.json.encode({"rest_api": "online", "sql_db": word, "index": word})
