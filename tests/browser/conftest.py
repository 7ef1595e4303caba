"""A browser for the tests of the console's pages: one a file, and visitors without a past."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import chromium
from playwright.sync_api import Browser, sync_playwright


# While it is driven an event loop runs in this thread, so that no test of another file could run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as browser:
        yield browser
