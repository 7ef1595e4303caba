"""The house: imports point down, along declared arrows only; each library lives in few rooms; no room is crowded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from picture import DRAWN, arrows_drawn, picture
from rooms import FILES, FLOORS, ROOMS, ROOT, arrows, imported, parsed, room_of

UNIT = ROOT / "tests" / "unit"
MOST_FILES = 12

IMPURE = {"os", "socket", "subprocess", "threading", "time", "random", "pika", "psycopg", "click", "structlog"}
# A room, or a file of one. The soak plays other programs: it dials and publishes as they do.
LIBRARIES = {
    "click": {"ingest/cli", "ingest/reference/commands.py"},
    "pika": {"consumers/broker", "consumers/worker", "ingest/publisher", "ingest/soak"},
    "psycopg": {
        "consumers/database",
        "consumers/dead_letters/repository.py",
        "consumers/ledger",
        "consumers/store",
        "ingest/shim/acknowledged.py",
        "ingest/lookup/database.py",
        "ingest/reads/database.py",
        "ingest/soak",
    },
    "psycopg_pool": {"ingest/reads/database.py"},
    "starlette": {"ingest/console", "ingest/http", "ingest/shim"},
    "uvicorn": {"ingest/console"},
    "jinja2": {"ingest/console"},
    "markdown_it": {"ingest/console"},
    "httptools": {"ingest/http"},
    "urllib3": {"ingest/keysync"},
}
PRIVATE = "consumers/broker/frames.py"
"""All that leans on pika's inside."""


def libraries(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(path)}


@pytest.mark.parametrize("room", sorted({room_of(path) for path in FILES}))
def test_a_room_imports_what_is_declared_and_declares_what_it_imports(room: str) -> None:
    """ROOMS is the house: no arrow that it does not show, none shown that is not there."""
    assert set(ROOMS[room]) == {arrow for path in FILES if room_of(path) == room for arrow in arrows(path)}


def test_no_room_is_declared_that_is_not_there() -> None:
    """The picture shows no room that has gone."""
    assert set(ROOMS) == {room_of(path) for path in FILES}


def test_the_picture_shows_the_rooms_as_they_are() -> None:
    """Whoever declares an arrow runs `make docs`."""
    page = (ROOT / "docs" / "explanation" / "rooms.md").read_text()
    assert picture() in page, "run `make docs`"


def test_what_the_picture_leaves_out_follows_from_what_it_shows() -> None:
    """Along drawn arrows a room reaches just what it imports, or what that imports."""
    drawn = set(arrows_drawn())
    for room in DRAWN:
        reached, at = set(), {room}
        while at:
            at = {other for one, other in drawn if one in at} - reached
            reached |= at
        assert ROOMS[room] & set(DRAWN) <= reached


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
    if "found by walking them" in words:
        return
    assert {module for module in modules if f"`{module}`" not in words} == set()


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "schemas")], ids=lambda p: p.name)
def test_the_lowest_floor_is_pure(path: Path) -> None:
    """`schemas` dials nothing, waits for nothing and asks no clock."""
    assert not libraries(path) & IMPURE


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_lives_in_few_rooms(library: str) -> None:
    """What talks to the broker, the database, a browser or the terminal is in few places, and in all that are named."""
    places = LIBRARIES[library]
    files = {str(path.relative_to(ROOT)): path for path in FILES if library in libraries(path)}
    assert {name if name in places else room_of(path) for name, path in files.items()} == places


def test_what_leans_on_pikas_inside_is_in_one_file() -> None:
    """A new version of pika is held against one file: nowhere else is a name of its own touched or overridden."""
    leaning = []
    for path in FILES:
        if "pika" not in libraries(path) or str(path.relative_to(ROOT)) == PRIVATE:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and any("pika" in ast.unparse(base) for base in node.bases):
                leaning.append(f"{path}:{node.lineno}: subclass")
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                owner = ast.unparse(node.value)
                if owner not in ("self", "cls"):
                    leaning.append(f"{path}:{node.lineno}: {owner}.{node.attr}")
    assert not leaning


CLOSURES = {
    "ingest.shim.server": {"broker", "database", "errors", "runtime"},
    "consumers.supervisor.supervisor": {
        "broker", "database", "errors", "machines", "runtime", "supervisor", "telemetry",
    },
    "consumers.worker.process": {
        "broker", "database", "delivery", "errors", "ledger", "machines", "runtime", "store", "telemetry", "worker",
    },
}  # fmt: skip
"""What a process loads of `consumers`, whatever imports what."""


@pytest.mark.parametrize("module", sorted(CLOSURES))
def test_a_process_loads_only_the_rooms_it_needs(module: str) -> None:
    """A shim holds no worker, a supervisor no worker's loop, and a worker nothing of the operator's side."""
    program = f"import sys, {module}; print(*{{n.split('.')[1] for n in sys.modules if n.startswith('consumers.')}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(done.stdout.split()) == CLOSURES[module]


@pytest.mark.parametrize("path", sorted(UNIT.rglob("test_*.py")), ids=lambda path: str(path.relative_to(UNIT)))
def test_unit_tests_lie_as_the_rooms_do(path: Path) -> None:
    """What holds a room is found by the room's name; what holds the whole house is a law."""
    folder = path.parent.relative_to(UNIT)
    assert str(folder) == "laws" or (ROOT / folder / "__init__.py").is_file()
