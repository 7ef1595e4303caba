"""A function on a message's path that raises costs that message its row, and nobody else anything."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from worker_support import Place, action

from consumers.runtime.failpoints import Failpoint
from consumers.worker.lanes import main_lane
from consumers.worker.process import Worker
from ingest.soak.system import until
from schemas.settings import load
from tests.patience import LONG

MARK = "the-one-it-is-about"
PATH = {
    "consumers.worker.intake": None,
    "consumers.broker.provenance": None,
    "consumers.broker.deaths": None,
    "consumers.broker.properties": {"envelope", "_plain_json", "text"},
    "consumers.delivery": {"becomes_letter", "is_patient"},
    "consumers.store.letter": None,
    "consumers.store.letters": None,
    "consumers.store.writer": None,
    "consumers.ledger.counts": None,
    "consumers.telemetry.reporter": {"outcome"},
    "schemas.validation.decode": None,
    "schemas.validation.judge": None,
    "schemas.validation.conflict": None,
    "schemas.run_rule": None,
    "schemas.wording": {"faults", "first", "shorten"},
}
"""Modules that a message walks through, and of some only those functions."""

GUARDS = {"taken_in", "fault_of"}
"""What guards can't be guarded by itself."""


def functions() -> Iterator[tuple[Any, str, FunctionType]]:
    """Owner, name and function: the modules' own and their classes' methods."""
    for module_name, names in PATH.items():
        module = importlib.import_module(module_name)
        for name, value in vars(module).items():
            if name in GUARDS:
                continue
            if inspect.isfunction(value) and value.__module__ == module_name and (names is None or name in names):
                yield module, name, value
            elif inspect.isclass(value) and value.__module__ == module_name and names is None:
                for inner, method in vars(value).items():
                    if inspect.isfunction(method) and not inner.startswith("__"):
                        yield value, inner, method


def raising(function: FunctionType, reached: list[bool]) -> Callable[..., Any]:
    """The same function; for what it is about it raises."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if MARK in repr(args) or MARK in repr(kwargs):
            reached.append(True)
            raise RuntimeError(f"sweep: {function.__qualname__}")
        return function(*args, **kwargs)

    return wrapped


def put_everywhere(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, old: object, new: object) -> None:
    """In its module, and where others have imported it by name."""
    monkeypatch.setattr(owner, name, new)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(("consumers", "schemas")) and vars(module).get(name) is old:
            monkeypatch.setattr(module, name, new)


@pytest.fixture
def place(amqp_url: str, database_url: str, tmp_path: Path) -> Iterator[Place]:
    return Place(amqp_url, database_url, tmp_path)


def test_whatever_raises_on_the_path_the_message_is_kept_and_its_neighbours_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Function by function, against the real servers, in one worker that goes on through all of it."""
    settings = load({"AMQP_URL": place.amqp_url, "DATABASE_URL": place.database_url}).settings
    worker = Worker(settings, main_lane(settings), "0", Failpoint())
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(worker.run()))
    thread.start()
    kept, reached = 0, 0
    try:
        for owner, name, function in list(functions()):
            hit: list[bool] = []
            with monkeypatch.context() as patch:
                put_everywhere(patch, owner, name, function, raising(function, hit))
                bodies = [action(), action(entity_name=MARK, task="bad" if kept % 2 else "update"), action()]
                ids = [json.loads(each)["id"] for each in bodies]
                place.publish(bodies, "actions", "erchef.node.update")

                parked = place.messages("ingest.parked")

                def settled(ids: list[str] = ids, body: bytes = bodies[1], parked: int = parked) -> bool:
                    rows = place.one("SELECT count(*) FROM actions WHERE id = ANY (%s::uuid[])", ids)
                    letters = place.one("SELECT count(*) FROM dead_letters WHERE payload = %s", body)
                    return bool(rows + letters + place.messages("ingest.parked") - parked >= 3)

                until(settled, f"{name} of {owner} raised and all three are kept")
            stored = place.one("SELECT count(*) FROM actions WHERE id = ANY (%s::uuid[])", [ids[0], ids[2]])
            assert stored == 2, f"{name} of {owner}: a neighbour is not stored"
            kept += 1
            reached += bool(hit)
        assert thread.is_alive()
    finally:
        worker.stop()
        thread.join(LONG)
    assert codes == [0]
    assert reached >= 12, f"only {reached} of {kept} functions were on the path"
