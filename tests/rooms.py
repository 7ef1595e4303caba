"""The house as data: which rooms there are, and from which others each may import."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FLOORS: Final = ("schemas", "consumers", "ingest")
"""From the ground up."""
FILES: Final = tuple(sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")))

ROOMS: Final[Mapping[str, frozenset[str]]] = {
    "schemas": frozenset(),
    "schemas/address": frozenset(),
    "schemas/doors": frozenset({"schemas/kinds", "schemas/message"}),
    "schemas/kinds": frozenset({"schemas/message", "schemas/wording"}),
    "schemas/labels": frozenset(),
    "schemas/message": frozenset(),
    "schemas/printable": frozenset(),
    "schemas/run_merge": frozenset({"schemas/kinds", "schemas/validation"}),
    "schemas/run_rule": frozenset({"schemas/kinds", "schemas/verdict"}),
    "schemas/settings": frozenset(),
    "schemas/topology": frozenset({"schemas/doors", "schemas/kinds", "schemas/message"}),
    "schemas/validation": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/message",
            "schemas/printable",
            "schemas/settings",
            "schemas/verdict",
            "schemas/wording",
        }
    ),
    "schemas/verdict": frozenset({"schemas/labels"}),
    "schemas/wording": frozenset(),
    "consumers": frozenset(),
    "consumers/broker": frozenset(
        {
            "schemas/doors",
            "schemas/labels",
            "schemas/message",
            "schemas/settings",
            "schemas/topology",
            "schemas/verdict",
            "schemas/wording",
            "consumers/errors",
        }
    ),
    "consumers/database": frozenset({"schemas/kinds", "schemas/settings", "consumers/errors"}),
    "consumers/dead_letters": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/message",
            "schemas/settings",
            "schemas/topology",
            "schemas/validation",
            "schemas/verdict",
            "consumers/broker",
            "consumers/database",
            "consumers/delivery",
            "consumers/errors",
            "consumers/runtime",
            "consumers/store",
        }
    ),
    "consumers/delivery": frozenset(
        {
            "schemas/doors",
            "schemas/labels",
            "schemas/message",
            "schemas/topology",
            "schemas/validation",
            "schemas/verdict",
        }
    ),
    "consumers/errors": frozenset(),
    "consumers/ledger": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/validation",
            "schemas/verdict",
            "consumers/database",
            "consumers/delivery",
        }
    ),
    "consumers/machines": frozenset({"schemas/labels", "schemas/topology", "consumers/database", "consumers/errors"}),
    "consumers/runtime": frozenset({"schemas/settings"}),
    "consumers/store": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/message",
            "schemas/run_merge",
            "schemas/run_rule",
            "schemas/settings",
            "schemas/validation",
            "schemas/verdict",
            "consumers/broker",
            "consumers/database",
            "consumers/delivery",
            "consumers/errors",
            "consumers/ledger",
            "consumers/machines",
            "consumers/runtime",
        }
    ),
    "consumers/supervisor": frozenset(
        {
            "schemas/address",
            "schemas/labels",
            "schemas/settings",
            "schemas/topology",
            "schemas/verdict",
            "consumers/broker",
            "consumers/database",
            "consumers/errors",
            "consumers/machines",
            "consumers/runtime",
            "consumers/telemetry",
        }
    ),
    "consumers/telemetry": frozenset(
        {"schemas/labels", "schemas/message", "schemas/verdict", "consumers/delivery", "consumers/ledger"}
    ),
    "consumers/worker": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/message",
            "schemas/printable",
            "schemas/settings",
            "schemas/topology",
            "schemas/validation",
            "schemas/verdict",
            "schemas/wording",
            "consumers/broker",
            "consumers/delivery",
            "consumers/errors",
            "consumers/machines",
            "consumers/runtime",
            "consumers/store",
            "consumers/telemetry",
        }
    ),
    "ingest": frozenset(),
    "ingest/__main__": frozenset({"ingest/cli"}),
    "ingest/access": frozenset({"schemas/address", "schemas/settings", "ingest/http"}),
    "ingest/cli": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/message",
            "schemas/printable",
            "schemas/settings",
            "schemas/topology",
            "schemas/validation",
            "consumers/broker",
            "consumers/database",
            "consumers/dead_letters",
            "consumers/errors",
            "consumers/ledger",
            "consumers/machines",
            "consumers/runtime",
            "consumers/supervisor",
            "consumers/telemetry",
            "consumers/worker",
            "ingest/access",
            "ingest/console",
            "ingest/diagnostics",
            "ingest/keysync",
            "ingest/local",
            "ingest/lookup",
            "ingest/reads",
            "ingest/shim",
            "ingest/soak",
            "ingest/spool",
            "ingest/telemetry",
        }
    ),
    "ingest/console": frozenset(
        {
            "schemas/address",
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/printable",
            "schemas/settings",
            "schemas/validation",
            "schemas/verdict",
            "consumers/database",
            "consumers/dead_letters",
            "consumers/errors",
            "consumers/machines",
            "consumers/runtime",
            "ingest/access",
            "ingest/diagnostics",
            "ingest/http",
            "ingest/lookup",
            "ingest/reads",
            "ingest/telemetry",
        }
    ),
    "ingest/diagnostics": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/settings",
            "schemas/topology",
            "schemas/verdict",
            "consumers/broker",
            "consumers/database",
            "consumers/errors",
            "consumers/ledger",
            "consumers/machines",
            "consumers/supervisor",
            "ingest/access",
            "ingest/spool",
        }
    ),
    "ingest/http": frozenset(
        {
            "schemas/address",
            "schemas/kinds",
            "schemas/labels",
            "schemas/printable",
            "schemas/settings",
            "schemas/verdict",
        }
    ),
    "ingest/keysync": frozenset({"schemas/settings", "ingest/access"}),
    "ingest/local": frozenset(
        {
            "schemas/address",
            "schemas/settings",
            "schemas/topology",
            "consumers/broker",
            "consumers/database",
            "consumers/runtime",
            "ingest/access",
            "ingest/diagnostics",
            "ingest/http",
        }
    ),
    "ingest/lookup": frozenset(
        {
            "schemas/kinds",
            "schemas/settings",
            "consumers/database",
            "consumers/dead_letters",
            "consumers/errors",
            "ingest/reads",
        }
    ),
    "ingest/publisher": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/message",
            "schemas/topology",
            "schemas/verdict",
            "consumers/broker",
            "ingest/http",
        }
    ),
    "ingest/reads": frozenset(
        {"schemas/doors", "schemas/kinds", "schemas/labels", "schemas/settings", "consumers/database", "ingest/http"}
    ),
    "ingest/reference": frozenset(
        {
            "schemas/doors",
            "schemas/kinds",
            "schemas/settings",
            "schemas/topology",
            "consumers/supervisor",
            "ingest/access",
            "ingest/cli",
            "ingest/http",
            "ingest/shim",
            "ingest/spool",
        }
    ),
    "ingest/shim": frozenset(
        {
            "schemas/address",
            "schemas/doors",
            "schemas/kinds",
            "schemas/labels",
            "schemas/message",
            "schemas/settings",
            "schemas/verdict",
            "consumers/database",
            "consumers/errors",
            "consumers/runtime",
            "ingest/access",
            "ingest/http",
            "ingest/publisher",
            "ingest/reads",
            "ingest/spool",
            "ingest/telemetry",
        }
    ),
    "ingest/soak": frozenset(
        {
            "schemas/doors",
            "schemas/settings",
            "schemas/topology",
            "consumers/broker",
            "consumers/database",
            "consumers/errors",
            "consumers/runtime",
            "ingest/local",
            "ingest/publisher",
        }
    ),
    "ingest/spool": frozenset({"schemas/message", "schemas/settings", "consumers/runtime", "ingest/http"}),
    "ingest/telemetry": frozenset({"schemas/message", "schemas/printable", "schemas/settings", "schemas/topology"}),
}


def room_of(path: Path) -> str:
    """`consumers/store` for any file in it; what lies on the open floor is a room of its own, `consumers/errors`."""
    floor, name, *_ = path.relative_to(ROOT).parts
    return floor if name == "__init__.py" else f"{floor}/{name.removesuffix('.py')}"


def arrows(path: Path) -> Iterator[str]:
    """The rooms that a file imports from, its own left out."""
    for module in imported(path):
        target = ROOT.joinpath(*module.split("."))
        if target.parts[len(ROOT.parts)] not in FLOORS:
            continue
        found = room_of(target / "__init__.py" if target.is_dir() else target.with_suffix(".py"))
        if found != room_of(path):
            yield found


@cache
def parsed(path: Path) -> ast.Module:
    """A file's syntax tree, made once for all laws: not to be changed."""
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> tuple[str, ...]:
    """The modules that a file imports, by their dotted names, wherever in it."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                target = ROOT.joinpath(*inner.split("."))
                yield inner if target.is_dir() or target.with_suffix(".py").is_file() else node.module
