"""SQL by name: a statement is found without its comments, and a name is one statement's."""

from __future__ import annotations

import pytest

from consumers.database import statements


def test_statements_are_found_by_name_without_their_comments() -> None:
    """A statement is its lines, without comment lines and the closing semicolon."""
    parsed = statements.parse("-- file\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n")
    assert dict(parsed) == {"one": "SELECT 1", "two": "SELECT\n  2"}


def test_a_statement_named_twice_is_refused() -> None:
    """One name, one statement."""
    with pytest.raises(ValueError, match="named twice"):
        statements.parse("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n")
