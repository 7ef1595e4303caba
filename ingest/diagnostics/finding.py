"""A finding of the doctor: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "broken"]
"""A note is something that could not be looked at, or is merely worth knowing; it changes no exit code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is a command or a sentence for whoever is woken by it; empty when all is well."""

    check: str
    level: Level
    finding: str
    remedy: str = ""
