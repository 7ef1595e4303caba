"""A letter's body as the text that is shown and typed: indented, without what would not be stored of it."""

from __future__ import annotations

from difflib import SequenceMatcher, unified_diff

from consumers.dead_letters import queries
from consumers.dead_letters.edit import editable, indented
from consumers.dead_letters.errors import NotEditable
from consumers.dead_letters.repository import Letter
from schemas.printable import printable
from schemas.settings import Settings
from schemas.validation.redaction import Redaction

Lines = list[str]


def shown(settings: Settings, letter: Letter) -> str:
    """The body for people, of a large one the beginning."""
    message = letter.message()
    return redacted(settings, queries.pretty(message.payload, message.content_encoding))


def redacted(settings: Settings, text: str) -> str:
    """The text without what would not be stored of it."""
    redaction = Redaction.from_settings(settings)
    try:
        return text if redaction is None else redaction.deeply(text) or ""
    except ValueError:
        # No JSON to its end; what is no JSON is never stored, and has no members.
        return text


def typable(settings: Settings, letter: Letter) -> tuple[str, str]:
    """The body as it is, and as it is shown to be edited. Raises NotEditable."""
    plain = editable(letter)
    if len(plain) > queries.SHOWN_BYTES:
        raise NotEditable(
            f"letter {letter.id} has {len(plain)} bytes, more than a page edits: `chef-ingest dead edit {letter.id}`"
        )
    whole = indented(plain).decode("utf-8", "backslashreplace")
    # As JSON has them, so that it stays JSON: what steers or hides is typed by its number.
    return whole, printable(redacted(settings, whole), lines=True)


def restored(whole: str, seen: str, typed: str) -> str:
    """What was typed over `seen`, with what was not shown of `whole` in it again, where its lines were left alone."""
    behind, before, after = (text.split("\n") for text in (whole, seen, typed))
    hidden = {
        (low, high): behind[first:last]
        for tag, low, high, first, last in SequenceMatcher(None, before, behind, autojunk=False).get_opcodes()
        if tag != "equal"
    }
    result: Lines = []
    for tag, low, high, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            result += _uncovered(before, hidden, low, high)
        else:
            result += after[first:last]
    return "\n".join(result)


def difference(before: str, after: str, called: str = "as typed") -> str:
    """The lines that differ from what is sent now."""
    lines = unified_diff(before.split("\n"), after.split("\n"), "sent now", called, lineterm="", n=2)
    return "\n".join(lines)


def _uncovered(before: Lines, hidden: dict[tuple[int, int], Lines], low: int, high: int) -> Lines:
    """Lines of what was shown, those that stood for others replaced by them."""
    result: Lines = []
    at = low
    for (first, last), lines in sorted(hidden.items()):
        if low <= first and last <= high and first >= at:
            result += before[at:first] + lines
            at = last
    return result + before[at:high]
