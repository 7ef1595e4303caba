"""SQL lies in .sql files, and what is called in it is what we mean."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rooms import FILES, FLOORS, ROOT, parsed

STATEMENT = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|COPY|SET|LOCK|ALTER|CREATE|DROP|TRUNCATE|COMMIT|ROLLBACK|SHOW|VALUES|MERGE"
    r"|CALL|VACUUM|ANALYZE|EXPLAIN|NOTIFY|LISTEN|DECLARE|FETCH)\s+\S"
)
COMPOSED = ROOT / "consumers/database/partitions.py"
"""Names of partitions are known to the database alone: statements about one are composed of identifiers here."""
SQL_FILES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.sql") if path.parent.name == "sql")

CALL = re.compile(r"\b([a-z_]+)\s*\(")
KEYWORDS = {"any", "all", "in", "values", "exists", "as", "over", "filter", "and", "or", "coalesce"}
"""What stands before a parenthesis and is no function that somebody else could define."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value
            yield node.lineno, value if isinstance(value, str) else value.decode("latin-1")


def arguments(sql: str) -> Iterator[tuple[str, str]]:
    """(function, its arguments' text) of every call."""
    for call in CALL.finditer(sql):
        depth, at = 1, call.end()
        while depth and at < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[at], 0)
            at += 1
        yield call[1], sql[call.end() : at - 1]


def test_no_python_file_holds_a_statement() -> None:
    """Whoever looks for what is asked of the database looks into .sql files, and whoever changes a column too."""
    files = [path for path in FILES if path != COMPOSED]
    assert not [f"{path}:{line}" for path in files for line, text in texts(path) if STATEMENT.match(text)]


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.name)
def test_what_is_given_to_a_function_has_its_type(path: Path) -> None:
    """Else a function of the same name and a better fitting type, made by another role, is called instead of ours:
    psycopg sends a small number as a smallint."""
    loose = [
        f"{name}({given})"
        for name, given in arguments(re.sub(r"'[^']*'", "''", path.read_text()))
        if name not in KEYWORDS
        for each in re.finditer(r"%\([a-z_]+\)s(?!::)", given)
        if given[: each.start()].count("(") == given[: each.start()].count(")")
    ]
    assert not loose
