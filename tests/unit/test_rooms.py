"""The house: imports point down, along declared arrows only; each library lives in few rooms; no room is crowded."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from rooms import FILES, FLOORS, ROOMS, ROOT, arrows, imported, room_of

MOST_FILES = 12

IMPURE = {"os", "socket", "subprocess", "threading", "time", "random", "pika", "psycopg", "click", "structlog"}
LIBRARIES = {
    "click": {"ingest/cli", "ingest/reference"},
    "pika": {
        "consumers/broker",
        "consumers/worker",
        "ingest/diagnostics",
        "ingest/publisher",
        "ingest/shim",
        "ingest/soak",
    },
}


def libraries(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize("room", sorted({room_of(path) for path in FILES}))
def test_a_room_imports_what_is_declared_and_declares_what_it_imports(room: str) -> None:
    """ROOMS is the house: no arrow that it does not show, none shown that is not there."""
    assert set(ROOMS[room]) == {arrow for path in FILES if room_of(path) == room for arrow in arrows(path)}


def test_no_room_is_declared_that_is_not_there() -> None:
    """The picture shows no room that has gone."""
    assert set(ROOMS) == {room_of(path) for path in FILES}


def test_no_arrow_points_up() -> None:
    """A floor can be read, tested and shipped without the ones above it."""
    floor = {name: number for number, name in enumerate(FLOORS)}
    up = {
        (room, other)
        for room, others in ROOMS.items()
        for other in others
        if floor[other.split("/")[0]] > floor[room.split("/")[0]]
    }
    assert not up


def test_no_rooms_import_in_a_circle() -> None:
    """Rooms can be put in an order in which each needs only those before it."""
    left = dict(ROOMS)
    while free := {room for room, others in left.items() if not others & left.keys()}:
        left = {room: others for room, others in left.items() if room not in free}
    assert not left, f"these import each other: {sorted(left)}"


FOLDERS = sorted({path.parent for path in FILES})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_holds_what_a_person_can_keep_in_mind(folder: Path) -> None:
    """A dozen files and no more; the map at the door is not counted."""
    files = [each.name for each in folder.iterdir() if each.is_file() and each.name != "__init__.py"]
    assert len(files) <= MOST_FILES, Counter(files)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_has_a_map_that_names_what_is_in_it(folder: Path) -> None:
    """The docstring of a room's `__init__` names each of its modules, or tells how they are found."""
    words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {each.stem for each in folder.glob("*.py") if not each.stem.startswith("__")}
    assert {module for module in modules if f"`{module}`" not in words} == set()


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "schemas")], ids=lambda p: p.name)
def test_the_lowest_floor_is_pure(path: Path) -> None:
    """`schemas` dials nothing, waits for nothing and asks no clock."""
    assert not libraries(path) & IMPURE


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_lives_in_few_rooms(library: str) -> None:
    """What talks to the broker, or to the terminal, is found in few places, and in all that are named."""
    assert {room_of(path) for path in FILES if library in libraries(path)} == LIBRARIES[library]
