"""What a page does to text: whoever wrote it, it is text."""

from __future__ import annotations

import jinja2
import pytest
from markupsafe import Markup

from ingest.console.pages import environment

TEMPLATES = environment()
HOSTILE = "<script>alert(1)</script>\u202e\x00\x1b[31m\"'\ud800\n\tend"


def rendered(template: str, **facts: object) -> str:
    return TEMPLATES.from_string(template).render(facts)


def test_every_value_is_escaped_and_seen() -> None:
    """No tag, no quote, no sign that turns a line about or hides; line breaks stay."""
    for template in ("{{ text }}", '<a title="{{ text }}">', "{{ text | cut(500) }}", "{% set x = text %}{{ x }}"):
        shown = rendered(template, text=HOSTILE)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\u0000\\u001b[31m&#34;&#39;\\ud800\n\tend" in shown
        shown.encode()


def test_a_template_that_wants_what_nobody_gave_is_an_error() -> None:
    """And no blank in a page."""
    with pytest.raises(jinja2.UndefinedError, match="nobody"):
        rendered("{{ nobody }}")


def test_what_is_cut_says_how_much_is_missing() -> None:
    """By characters."""
    assert rendered("{{ 'abcdef' | cut(2) }}") == "ab… (4 characters more)"
    assert rendered("{{ nothing }}", nothing=None) == ""
    assert rendered("{{ made }}", made=Markup("<b>")) == "<b>"
