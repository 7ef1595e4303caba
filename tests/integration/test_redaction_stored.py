"""Redaction through the whole system: what is cut never reaches a table, and a repetition stays one."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from stack_support import running

FIXTURE = Path(__file__).parents[1] / "fixtures" / "example_action.json"
SECRET = "Zq7-planted-9w"


def test_a_secret_is_never_stored(amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Posted twice, a message with a password is one row without it; GET shows the mark, another content is 409."""
    monkeypatch.setenv("INGEST_REDACT_ANYWHERE", "encrypted_data")
    action = json.loads(FIXTURE.read_text())
    action["data"] = {"password": SECRET, "a": 1, "raw": {"key": {"encrypted_data": SECRET, "iv": "x"}}}
    with running(amqp_url, database_url, wait_seconds=20) as system:
        for _ in range(2):
            response = system.http.post("/messages", json=action)
            assert response.status_code == 201
        stored = system.http.get(response.headers["location"]).json()
        assert stored["data"] == {
            "password": "[redacted]", "a": 1, "raw": {"key": {"encrypted_data": "[redacted]", "iv": "x"}},
        }  # fmt: skip
        action["data"]["a"] = 2
        conflict = system.http.post("/messages", json=action)
        assert conflict.status_code == 409
        assert SECRET not in conflict.text
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT data::text, extra::text FROM actions").fetchall()
    assert len(rows) == 1
    assert SECRET not in str(rows)
