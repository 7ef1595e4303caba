"""The reference of tables, read out of SQL text, is what a migrated database has."""

from __future__ import annotations

from importlib.resources import files

import psycopg

from ingest.reference.tables import tables

CATALOG = """
    SELECT c.table_name, c.column_name, c.udt_name, c.is_nullable = 'NO'
    FROM information_schema.columns c
    JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = 'public'::regnamespace
    WHERE c.table_schema = 'public' AND NOT t.relispartition
"""
SHORT = {"real": "float4", "boolean": "bool", "integer": "int4", "bigint": "int8"}


def test_the_tables_read_are_the_tables_there_are(database_url: str) -> None:
    """Each table, column, type and NOT NULL of the reference is in the catalog, and no other one is."""
    with psycopg.connect(database_url) as connection:
        there = set(connection.execute(CATALOG).fetchall())
    read = {
        (table.name, column.name, SHORT.get(column.type, column.type), column.required)
        for table in tables((files("schemas") / "schema.sql").read_text("utf-8"))
        for column in table.columns
    }
    assert read == there
