"""What may stand in a log, and how often."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry.masking import RepeatLimiter, mask_secrets


@given(st.text("abcdefghij0123456789", min_size=8, max_size=30))
def test_no_password_survives(secret: str) -> None:
    """Not in a URL, not as a parameter, not as a bearer token, not under a telling name, not in a list."""
    event = {
        "event": f"lost amqp://user:{secret}@host/vhost",
        "why": f"postgresql://u:{secret}@h/d?sslpassword={secret}&password={secret}",
        "header": f"Authorization: Bearer {secret}",
        "token": secret,
        "faults": [f"amqp://u:{secret}@h"],
        "body": secret.encode(),
    }
    shown = json.dumps(mask_secrets(None, "info", event), default=str)
    assert f":{secret}@" not in shown
    assert f"={secret}" not in shown
    assert f" {secret}" not in shown
    assert f'"{secret}"' not in shown


def test_what_is_no_secret_stays() -> None:
    """Ordinary values and the name of a token pass unchanged; bytes become their length, endless text its beginning."""
    event = {"event": "request", "url": "http://127.0.0.1:80/", "token_name": "laptop", "seconds": 0.1, "code": None}
    assert mask_secrets(None, "info", dict(event)) == event
    assert mask_secrets(None, "info", {"payload": b"abc"}) == {"payload": "<3 bytes>"}
    assert len(mask_secrets(None, "info", {"text": "x" * 100_000})["text"]) < 10_000


def test_repeated_warnings_are_dropped_and_counted() -> None:
    """Five of a kind a minute pass, the next minute's first tells how many did not; info lines all pass."""
    now = [0.0]
    limiter = RepeatLimiter(clock=lambda: now[0])

    def passes(**event: object) -> dict[str, object] | None:
        try:
            return dict(limiter(None, "", dict(event)))
        except structlog.DropEvent:
            return None

    warned = [passes(level="warning", event="waiting", why="x") for _ in range(20)]
    assert sum(each is not None for each in warned) == 5
    assert passes(level="warning", event="waiting", why="another") is not None
    assert all(passes(level="info", event="request") for _ in range(100))
    now[0] = 61.0
    assert passes(level="warning", event="waiting", why="x") == {
        "level": "warning", "event": "waiting", "why": "x", "repeats": 15,
    }  # fmt: skip


def test_a_flood_of_different_warnings_takes_no_endless_memory() -> None:
    """The limiter forgets the oldest rather than grow."""
    limiter = RepeatLimiter(kept=100)
    for number in range(1000):
        limiter(None, "", {"level": "error", "event": str(number)})
    assert len(limiter._seen) <= 100


@pytest.mark.parametrize(
    ("said", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_gets_colours_unless_it_says_no(said: dict[str, str], coloured: bool) -> None:
    """Logs keep to NO_COLOR and TERM=dumb, as tables do."""
    program = """
import structlog
from ingest.telemetry import logs
from schemas.settings import Settings
logs.configure(Settings(log_format="console"))
structlog.get_logger().info("listening", url="http://127.0.0.1:8080")
"""
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | said
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    assert "listening" in done.stderr
    assert ("\x1b" in done.stderr) == coloured


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_failure_is_logged_without_secrets(form: str) -> None:
    """A traceback goes through the mask too, on a terminal as in JSON, and shows no local variables."""
    program = f"""
import structlog
from ingest.telemetry import logs
from schemas.settings import Settings
logs.configure(Settings(log_format={form!r}))
def fail(hidden):
    raise ValueError('amqp://u:hunter2@host refused')
try:
    fail('body-of-a-message')
except ValueError:
    structlog.get_logger().exception('failed')
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "failed" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" in done.stderr
    if form == "json":
        json.load(io.StringIO(done.stderr))
