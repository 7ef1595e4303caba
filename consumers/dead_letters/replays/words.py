"""What a person may say of a replay: its name, its pace. Pure."""

from __future__ import annotations

import re
from typing import Final

LONGEST_NAME: Final = 200
_RATE: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


def rate_of(text: str) -> float:
    """Letters a second, of `50/s` or `50`: a number above 0. Raises ValueError."""
    number = text.removesuffix("/s")
    if not _RATE.fullmatch(number) or float(number) == 0:
        raise ValueError(f"{text!r} is no rate: give 50/s")
    return float(number)


def check_name(text: str) -> None:
    """Raises ValueError for what a replay can't be called."""
    if not (text.strip() and text.isprintable() and len(text) <= LONGEST_NAME):
        raise ValueError(f"give 1 to {LONGEST_NAME} characters that can be printed")
