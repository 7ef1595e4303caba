"""The pages about what can be wrong, as they were installed with this version: docs/runbooks."""

from __future__ import annotations

import re
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request

from ingest.console.fence import TurnedAway
from ingest.console.pages import Shown

if TYPE_CHECKING:
    from ingest.console.views.machine import Machine

_SOURCE: Final = Path(__file__).parents[2] / "docs" / "runbooks"
"""Where there is a clone of the repository."""
_NAME: Final = re.compile(r"[A-Za-z]{1,60}")
_LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


def show(_machine: Machine, request: Request) -> Shown:
    """One of them. Raises TurnedAway (404)."""
    name = request.path_params["name"]
    text = written(name)
    if text is None:
        raise TurnedAway(404, "there is no such runbook")
    title, _, body = text.partition("\n")
    return Shown("runbook.html", {"name": title.lstrip("# "), "body": rendered(body)})


def written(name: str) -> str | None:
    """The text of a page; None where it is not installed."""
    if not _NAME.fullmatch(name):
        return None
    path = _SOURCE / f"{name}.md"
    if not path.is_file():
        wanted = ("chef-ingest", "runbooks", f"{name}.md")
        found = [each for each in files("chef-ingest") or () if each.parts[-3:] == wanted]
        path = Path(str(found[0].locate())) if found else path
    return path.read_text("utf-8") if path.is_file() else None


def rendered(text: str) -> Markup:
    """As HTML; a link to another runbook leads to its page here, any other one is only text."""
    # Our own text, and no HTML in it all the same.
    return Markup(MarkdownIt("commonmark", {"html": False}).render(_LINK.sub(_link, text)))


def _link(found: re.Match[str]) -> str:
    words, to = found.groups()
    name = to.removesuffix(".md")
    return f"[{words}](/runbooks/{name})" if _NAME.fullmatch(name) else words
