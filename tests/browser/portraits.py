"""Pictures of the console for its documentation: a stack of its own, made-up nodes, a browser; `make screenshots`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import psycopg
from browsing import chromium, visiting
from console_support import console, machine
from operate_support import actions, consuming, declared, environment, publishing
from playwright.sync_api import sync_playwright

from consumers.database.migrations import migrate
from ingest.soak.system import until
from tests.servers import private_stack

HERE = Path(__file__).parent
RUN = "SELECT run_id FROM runs WHERE status = 'failure' ORDER BY start_time DESC LIMIT 1"
LETTERS = "SELECT count(*), max(id) FROM dead_letters"
REFUSED = ({"recorded_at": "yesterday"}, {"recorded_at": "2026-13-01T00:00:00Z"}, {"requestor_type": 7})
"""What some senders made of an action."""


def main(folder: Path) -> None:
    """Write the pictures into `folder`."""
    with private_stack(Path(tempfile.mkdtemp(prefix="chef-ingest-pictures-"))) as stack:
        assert stack.postgres is not None
        assert stack.rabbit is not None
        url, amqp_url = stack.postgres.url, stack.rabbit.url
        migrate(url)
        declared(amqp_url)
        state = Path(tempfile.mkdtemp(prefix="chef-ingest-state-"))
        env = environment(amqp_url, url, state) | {"INGEST_METRICS_LISTEN": "127.0.0.1:0"}
        with consuming(os.environ | env, "-n", "2", workers=2), psycopg.connect(url, autocommit=True) as database:
            database.execute((HERE / "portraits.sql").read_bytes())
            with publishing(amqp_url) as publisher:
                for number, action in enumerate(actions(14)):
                    organization = {"organization_name": "ponyville"}
                    publisher.publish(action | organization | (REFUSED[number % 3] if number % 2 else {}))
            until(lambda: (database.execute(LETTERS).fetchone() or (0,))[0] == 7, "the letters are there")
            [(_, letter)], [(run,)] = database.execute(LETTERS).fetchall(), database.execute(RUN).fetchall()
            with (
                sync_playwright() as playwright,
                chromium(playwright) as browser,
                console(machine(state, database_url=url, amqp_url=amqp_url)) as client,
            ):
                for name, path, width, height, scheme in (
                    ("overview", "/", 1280, 860, "light"),
                    ("letter", f"/letters/{letter}", 1280, 860, "light"),
                    ("run", f"/runs/{run}", 1280, 860, "light"),
                    ("overview-narrow", "/", 390, 844, "dark"),
                ):
                    url = str(client.base_url).rstrip("/")
                    size = {"width": width, "height": height}
                    with visiting(browser, url, viewport=size, color_scheme=scheme) as visitor:
                        visitor.open(path).screenshot(path=folder / f"console-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
