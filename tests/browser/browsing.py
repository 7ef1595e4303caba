"""Debian's Chromium driven by Playwright, and the laws that each page of the console is held to in it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Playwright, Request

from ingest.local.install import ServersMissing, apt_install
from tests.patience import LONG

PACKAGES: Final = ("chromium", "fonts-dejavu-core")
"""Without a font there is nothing to measure."""
_CAN_DIFFER: Final = {"runOnly": ["color-contrast", "scrollable-region-focusable"]}
LOOKS: Final[Sequence[tuple[int, str, Mapping[str, Any] | None]]] = (
    (1280, "light", {}), (1280, "dark", None),
    (768, "light", None), (768, "dark", None),
    (390, "light", _CAN_DIFFER), (390, "dark", _CAN_DIFFER),
)  # fmt: skip
"""Width, scheme, and what axe looks for there: everything once, then what is another at that width or in that scheme;
None: nothing."""
PICTURES: Final = Path(__file__).parents[2] / "build" / "screenshots"
MILLISECONDS: Final = 1000 * LONG


def installed() -> str:
    """Where Chromium is: installed first where it is missing, as the servers are. Raises ServersMissing."""
    if shutil.which("chromium") is None:
        try:
            apt_install(PACKAGES, os.environ, lambda line: print(line, file=sys.stderr))
        except ServersMissing as refusal:
            remedy = f"sudo apt-get install --no-install-recommends {' '.join(PACKAGES)}"
            raise ServersMissing(f"no browser to test the console in: {refusal}; {remedy}") from refusal
    program = shutil.which("chromium")
    if program is None:
        raise ServersMissing("apt-get installed chromium, yet it is not found")
    return program


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A browser without a window; it downloads nothing and asks nobody."""
    browser = playwright.chromium.launch(executable_path=installed(), args=["--disable-dev-shm-usage"])
    try:
        yield browser
    finally:
        browser.close()


class Visitor:
    """One who looks at the console at `url`, and writes down what a page should not do: `said` is empty then."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.context = context
        self.said: list[str] = []
        self.page = self.look(context.new_page())

    def look(self, page: Page) -> Page:
        """Have an eye on a page."""
        page.set_default_timeout(MILLISECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"a script failed: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        return page

    def open(self, path: str, status: int = 200) -> Page:
        """The page at a path, loaded; what others said is forgotten."""
        self.said.clear()
        answer = self.page.goto(self.url + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        return self.page

    def _console(self, message: ConsoleMessage) -> None:
        self.said.append(f"printed: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.said.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.said.append(f"asked elsewhere: {request.url}")


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visitor]:
    """A visitor without a past; `options` are those of a browser's context."""
    context = browser.new_context(**options)
    try:
        yield Visitor(context, url)
    finally:
        context.close()


def wide(page: Page) -> list[str]:
    """What makes a page wider than its window; nothing where it is not."""
    found: list[str] = page.evaluate("""() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        const all = [...document.querySelectorAll("body *")];
        const wide = all.filter((each) => each.getBoundingClientRect().right > width);
        return ["the page", ...wide.slice(0, 5).map((each) => each.outerHTML.slice(0, 120))];
    }""")
    return found


def faults(page: Page, rules: Mapping[str, Any] | None) -> list[str]:
    """What axe finds by these options, each with the first places where it is."""
    if rules is None:
        return []
    # By the debugger's way, which is not bound by the page's policy: the policy stays as it is.
    page.evaluate(f"window.axe || (() => {{ {AXE_SCRIPT} }})()")
    run = """async (rules) => (await axe.run({resultTypes: ["violations"], ...rules})).violations"""
    return [
        f"{each['id']}: {[(node['html'][:160], node['failureSummary']) for node in each['nodes'][:3]]}"
        for each in page.evaluate(run, rules)
    ]


CAN_BE_REACHED: Final = """() => {
    const all = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    window.wanted = [...document.querySelectorAll(all)].filter((each) => each.checkVisibility());
    window.reached = [];
    addEventListener("focusin", (event) => {
        const place = event.target.getBoundingClientRect(), style = getComputedStyle(event.target);
        const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 1 && place.right > 0;
        window.reached.push([event.target, seen]);
    });
    document.activeElement?.blur();
    return window.wanted.length;
}"""
NOT_REACHED: Final = """() => {
    const said = (each) => each.outerHTML.slice(0, 160);
    const reached = new Map(window.reached);
    return [...window.wanted.filter((each) => !reached.has(each)).map((each) => "not reached: " + said(each)),
        ...[...reached].filter(([, seen]) => !seen).map(([each]) => "its focus is not seen: " + said(each))];
}"""


def unreachable(page: Page) -> list[str]:
    """What the tab key does not lead to, or leads to without anybody seeing it."""
    for _ in range(page.evaluate(CAN_BE_REACHED) + 1):
        page.keyboard.press("Tab")
    found: list[str] = page.evaluate(NOT_REACHED)
    return found


def picture(page: Page, *words: object) -> None:
    """Keep a picture of a page, under these words."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = "-".join(str(word) for word in words)
    kept = "".join(each if each.isalnum() or each in "-_" else "_" for each in name)[:80]
    page.screenshot(path=PICTURES / f"{kept}.png", full_page=False)
