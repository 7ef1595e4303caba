"""What tests and benchmark import from the house is there: a name that moved is missed at once, not in a run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from rooms import FLOORS, ROOT

OUTSIDE = sorted(path for folder in ("bench", "tests") for path in (ROOT / folder).rglob("*.py"))


def _taken(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FLOORS:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_that_is_imported_from_the_house_is_there(path: Path) -> None:
    """The module has it, or it is a module of that package."""
    missing = []
    for module, name in _taken(path):
        try:
            found = hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}")
        except ModuleNotFoundError:
            found = None
        if not found:
            missing.append(f"{module}.{name}")
    assert missing == []
