"""Redaction through the whole system: what is cut never reaches a table, and a repetition stays one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from http_support import declare_topology, serving, until

FIXTURE = Path(__file__).parents[1] / "fixtures" / "example_action.json"
SECRET = "Zq7-planted-9w"


def test_a_secret_is_never_stored(amqp_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Posted twice, a message with a password is one row without it; GET shows the mark, another content is 409."""
    declare_topology(amqp_url)
    monkeypatch.setenv("INGEST_REDACT_ANYWHERE", "encrypted_data")
    action = json.loads(FIXTURE.read_text())
    action["data"] = {"password": SECRET, "a": 1, "raw": {"key": {"encrypted_data": SECRET, "iv": "x"}}}
    environ = os.environ | {"AMQP_URL": amqp_url, "DATABASE_URL": database_url}
    worker = subprocess.Popen(
        [sys.executable, "-m", "ingest", "consume", "-n", "1"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        with serving(amqp_url, database_url, wait_seconds=20) as shim:
            until(lambda: shim.http.get("/readyz").status_code == 200, "the worker answers")
            for _ in range(2):
                response = shim.http.post("/messages", json=action)
                assert response.status_code == 201
            stored = shim.http.get(response.headers["location"]).json()
            assert stored["data"] == {
                "password": "[redacted]", "a": 1, "raw": {"key": {"encrypted_data": "[redacted]", "iv": "x"}},
            }  # fmt: skip
            action["data"]["a"] = 2
            conflict = shim.http.post("/messages", json=action)
            assert conflict.status_code == 409
            assert SECRET not in conflict.text
    finally:
        worker.terminate()
        worker.wait(60)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT data::text, extra::text FROM actions").fetchall()
    assert len(rows) == 1
    assert SECRET not in str(rows)
