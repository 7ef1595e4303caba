"""Each page of the console in a browser: at three widths, in light and dark, by keyboard, and what it prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from browsing import LOOKS, Visitor, faults, picture, unreachable, visiting, wide
from console_seeded import LETTERS, lesser, paths, seed
from console_support import console, machine
from playwright.sync_api import Browser, expect
from psycopg.types.json import Json

NUMBERS = list(range(1, len(LETTERS) + 1))
WORKER = {
    "pid": 7,
    "lane": "main",
    "state": "consuming",
    "in_hand": 3,
    "silent_seconds": 0.1,
    "up_seconds": 5.0,
    "deaths": 1,
    "why": "",
    "last_death": "killed by signal 9",
}
MACHINE = {"mode": "running", "wanted": 2, "rate": 3.5, "version": "1", "workers": [WORKER]}
PAUSE = "INSERT INTO pauses VALUES ('ingest.runs', 'web1', 'ann', '<b>a new disk</b>', now())"
SUPERVISOR = "INSERT INTO supervisors (host, folder, said) VALUES ('web2', '/run', %s)"


class Shown(NamedTuple):
    """A console over rows of everything, and who looks at it."""

    url: str
    visitor: Visitor


@pytest.fixture(scope="module")
def shown(browser: Browser, databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    url = databases.create(migrated=True)
    assert seed(url) == NUMBERS
    with psycopg.connect(url) as connection:
        connection.execute(PAUSE)
        connection.execute(SUPERVISOR, [Json(MACHINE)])
    with (
        console(machine(tmp_path_factory.mktemp("state"), database_url=lesser(url))) as client,
        visiting(browser, str(client.base_url)) as visitor,
    ):
        yield Shown(str(client.base_url), visitor)
    databases.drop(url)


@pytest.mark.parametrize("path", dict.fromkeys(paths(NUMBERS)))
def test_a_page_fits_is_read_and_is_walked_by_keyboard(shown: Shown, path: str) -> None:
    """At each width, in both schemes, no page is wider than its window and axe finds nothing; the tab key leads to all
    that can be done, and is seen there; the console's own policy refuses nothing, and nothing is printed."""
    page = shown.visitor.open(path)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    wrong = []
    for width, scheme, rules in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        wrong += [f"at {width} px too wide: {each}" for each in wide(page)]
        wrong += [f"{scheme}, {width} px: {each}" for each in faults(page, rules)]
        if rules is not None:
            picture(page, path.strip("/") or "overview", scheme, width)
    wrong += unreachable(page)
    wrong += shown.visitor.said
    assert wrong == [], "\n".join(wrong)


def test_nothing_is_an_alert_that_says_nothing(shown: Shown) -> None:
    """Nor is it while the stylesheet is on its way, or for who reads without one."""
    page = shown.visitor.context.new_page()
    page.route("**/*.css", lambda route: route.abort())
    page.goto(f"{shown.url}/letters")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.get_by_role("alert").count() == 0
    page.close()
