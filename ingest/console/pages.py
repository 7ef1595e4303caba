"""Renders pages: every value that is put into one is text, escaped, with what steers or hides made visible."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import jinja2
from markupsafe import Markup

from schemas.printable import ago, exact, printable

HERE: Final = Path(__file__).parent
SECTIONS: Final = (
    ("/", "Overview"),
    ("/letters", "Letters"),
    ("/replays", "Replays"),
    ("/workers", "Workers"),
    ("/runs", "Runs"),
    ("/nodes", "Nodes"),
    ("/actions", "Actions"),
    ("/health", "Health"),
)
"""Path and title of each page that the navigation leads to."""


class Shown(NamedTuple):
    """A template, and the facts that it shows."""

    template: str
    facts: Mapping[str, Any]
    status: int = 200


def environment() -> jinja2.Environment:
    """Where templates come from and what they can call. A fact that a template names and nobody gave is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=_text,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(sections=SECTIONS, version=version("chef-ingest"))
    made.filters.update(age=_age, exact=exact, cut=cut, sentence=sentence)
    return made


def cut(value: str, most: int) -> str:
    """Text of so many characters, and how many more there are."""
    return value if len(value) <= most else f"{value[:most]}… ({len(value) - most} characters more)"


def sentence(value: str) -> str:
    """Text that begins as a sentence does."""
    return value[:1].upper() + value[1:]


def _text(value: Any) -> Any:
    """What is put between tags or quotes: no character of it is invisible or turns its line about."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) else printable(str(value), lines=True)


def _age(value: datetime | None) -> Markup:
    """How long ago, and exactly when to whoever points at it."""
    if value is None:
        return Markup('<span class="none">never</span>')
    time = exact(value)
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(time, ago(value, datetime.now(UTC)))
