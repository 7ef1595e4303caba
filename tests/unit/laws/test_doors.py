"""The doors are data: each is said once, in schemas/doors.py, and everything else reads it there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from rooms import FILES, FLOORS, ROOT

from schemas.doors import DOORS, IMPLIED, INLET_QUEUES, INLETS, WORDS, Door
from schemas.kinds import KINDS
from schemas.settings import Settings, variable
from schemas.topology import TOPOLOGY

OTHERS = {
    "ingest/console/fence.py": {"http"},
    "ingest/console/server.py": {"http"},
    "ingest/diagnostics/management.py": {"http"},
    "ingest/diagnostics/shim.py": {"http"},
    "ingest/http/connection.py": {"http"},
    "ingest/local/up.py": {"http"},
    "ingest/shim/app.py": {"http"},
    "ingest/shim/server.py": {"http"},
    "ingest/keysync/server.py": {"http"},
    "schemas/run_merge.py": {"collector"},
}
"""Where such a word is another's: the scheme of a URL, a port's name, ASGI's type of a scope; who told of a run."""


def at_home(path: str) -> bool:
    return path == "schemas/doors.py" or path.startswith("ingest/shim/doors/")


def words_in(path: Path) -> set[str]:
    """The doors' words among the string constants of a Python file or the quoted texts of an SQL file."""
    text = path.read_text()
    if path.suffix == ".sql":
        return {each for each in re.findall(r"'([^']*)'", text) if each in WORDS}
    constants = {each.value for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Constant)}
    return {word for word in WORDS if word in constants}


def test_a_door_is_spelled_only_where_it_is_said() -> None:
    """Whoever adds a door finds no list to add it to, and whoever renames one no comparison to forget."""
    statements = [each for floor in FLOORS for each in (ROOT / floor).rglob("sql/*.sql")]
    found = {}
    for each in (*FILES, *statements):
        path = str(each.relative_to(ROOT))
        if not at_home(path) and (spelled := words_in(each) - OTHERS.get(path, set())):
            found[path] = spelled
    assert found == {}


def test_no_place_is_excused_that_has_no_need() -> None:
    """A file that no longer says such a word is on no list."""
    assert {path: words_in(ROOT / path) & words for path, words in OTHERS.items()} == OTHERS


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_door_names_what_there_is(door: Door) -> None:
    """Its kinds are kinds, its settings are settings, and it is a door of the shim or an exchange, not both."""
    assert set(door.kinds) <= set(KINDS)
    assert {kind for kind in door.posts.values() if kind is not None} | set(door.waits) <= set(door.kinds)
    assert {door.profile, door.limit, door.wait, *door.waits.values()} <= set(Settings.__dataclass_fields__)
    assert bool(door.posts) == (door.inlet is None)


def test_doors_are_told_apart() -> None:
    """No name, path or exchange is of two doors, and doors of one word are judged alike and counted alike."""
    counted = Counter([*(door.name for door in DOORS), *(path for door in DOORS for path in door.posts)])
    assert set(counted.values()) == {1}
    assert len(INLETS) == len(INLET_QUEUES) == len([door for door in DOORS if door.inlet is not None])
    assert len({(door.word, door.profile, door.inlet) for door in DOORS}) == len(WORDS)
    assert IMPLIED in {door.word for door in DOORS if door.posts}


def test_an_inlet_is_declared_and_its_kind_is_known() -> None:
    """What others publish to an exchange reaches the queue of the one kind that its door carries."""
    for door in DOORS:
        if door.inlet is None:
            continue
        (kind,) = door.kinds
        assert KINDS[kind].queue == door.inlet.queue
        assert (door.inlet.exchange, "topic") in {(each.name, each.type) for each in TOPOLOGY.exchanges}
        bound = {(each.exchange, each.queue, each.routing_key) for each in TOPOLOGY.bindings}
        assert (door.inlet.exchange, door.inlet.queue, door.inlet.pattern) in bound


def told(door: Door) -> str:
    """A door's row in the documentation."""
    ways = [f"`POST {path}`" for path in door.posts]
    bounds = [
        f"`{variable(door.limit)}`",
        ", ".join(f"`{variable(each)}`" for each in (door.wait, *door.waits.values())),
    ]
    if door.inlet is not None:
        ways, bounds = [f"exchange `{door.inlet.exchange}`, keys `{door.inlet.pattern}`"], ["the broker's", "nobody"]
    kinds = ", ".join(f"`{kind}`" for kind in door.kinds)
    cells = [f"`{door.name}`", "<br>".join(ways), kinds, f"`{door.word}`", f"`{variable(door.profile)}`", *bounds]
    return f"| {' | '.join(cells)} |"


def test_the_documentation_has_every_door_and_no_other() -> None:
    """docs/architecture.md tells where each door is, what it carries and within which bounds."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    _, _, section = text.partition("\n## Doors\n")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert rows == [told(door) for door in DOORS]


def test_a_door_of_the_shim_is_a_module_and_a_part_of_the_document() -> None:
    """The room holds what schemas/doors.py says, and beside it only the way through any door."""
    room = ROOT / "ingest" / "shim" / "doors"
    doors = {door.name for door in DOORS if door.posts}
    assert {each.stem for each in room.glob("*.py")} - {"__init__", "entry", "scan", "sender"} == doors
    assert {each.stem for each in room.glob("*.json")} == doors
