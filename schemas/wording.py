"""How a refusal is worded: short, keyed by field, the reference validator's own text where a schema is broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # What judges nothing and only shortens a text does not load it.
    from jsonschema import Draft4Validator, ValidationError

LONGEST: Final = 300
"""Characters of a text in details."""
MOST: Final = 100
"""Faults told of one message; a million bad resources are one sender's mistake, not a million."""

_AND_MORE: Final = {"message": f"more than {MOST} faults; the first are listed"}


def shorten(text: str, longest: int = LONGEST) -> str:
    """The text, its middle left out when it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def faults(validator: Draft4Validator, instance: Any) -> dict[str, str]:
    """Field -> text for everything the schema refuses, empty when it refuses nothing.

    A nested fault is keyed by its dotted path, a missing member by its own name, the root by `message`.
    """
    errors = list(islice(validator.iter_errors(instance), MOST + 1))
    texts: dict[str, list[str]] = {}
    for error in errors[:MOST]:
        texts.setdefault(_field(error), []).append(shorten(error.message))
    found = {shorten(field): shorten("; ".join(dict.fromkeys(each))) for field, each in texts.items()}
    return found if len(errors) <= MOST else found | _AND_MORE


def first(details: Mapping[str, str]) -> Mapping[str, str]:
    """As many of the details as are told."""
    return details if len(details) <= MOST else dict(islice(details.items(), MOST)) | _AND_MORE


def _field(error: ValidationError) -> str:
    path = [str(step) for step in error.absolute_path]
    missing = _missing_member(error)
    return ".".join(path if missing is None else [*path, missing]) or "message"


def _missing_member(error: ValidationError) -> str | None:
    """The member that a `required` or `dependencies` fault asks for; the message begins with its repr."""
    asked: Any = error.validator_value
    candidates: Iterable[str] = ()
    if error.validator == "required":
        candidates = asked
    elif error.validator == "dependencies":
        candidates = [each for needed in asked.values() for each in needed]
    return next((each for each in candidates if error.message.startswith(f"{each!r} ")), None)
