"""Imports point down only: ingest -> consumers -> schemas; each library lives on its floor."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {"schemas": 0, "consumers": 1, "ingest": 2}
FILES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))

IMPURE = {"os", "socket", "subprocess", "threading", "time", "random", "pika", "psycopg", "click", "structlog"}
LIBRARIES = {
    "pika": {
        "consumers/broker_checks.py",
        "consumers/connect.py",
        "consumers/dead_letters/publishing.py",
        "consumers/declare.py",
        "consumers/frames.py",
        "consumers/outbox.py",
        "consumers/outlook.py",
        "consumers/settle.py",
        "consumers/source.py",
        "ingest/link.py",
        "ingest/publisher.py",
        "ingest/soak/amqp_sender.py",
        "ingest/serve.py",
    },
    "click": {
        "ingest/cli.py",
        "ingest/completion.py",
        "ingest/dead.py",
        "ingest/dead_edit.py",
        "ingest/dead_options.py",
        "ingest/operate.py",
        "ingest/reference/commands.py",
        "ingest/soak/command.py",
        "ingest/token_commands.py",
        "ingest/usage.py",
    },
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_imports_from_a_higher_floor(path: Path) -> None:
    """A floor can be read, tested and shipped without the ones above it."""
    floor = FLOORS[path.relative_to(ROOT).parts[0]]
    above = {name for name in imports(path) if FLOORS.get(name, -1) > floor}
    assert not above


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(ROOT / "schemas")], ids=lambda p: p.name)
def test_the_lowest_floor_is_pure(path: Path) -> None:
    """`schemas` dials nothing, waits for nothing and asks no clock."""
    assert not imports(path) & IMPURE


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_lives_in_few_files(library: str) -> None:
    """What talks to the broker, or to the terminal, is found in one place each."""
    users = {str(path.relative_to(ROOT)) for path in FILES if library in imports(path)}
    assert users <= LIBRARIES[library]
