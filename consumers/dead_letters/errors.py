"""What the desk can't do, in words for the person at it."""

from __future__ import annotations


class DeskError(Exception):
    """Something about a letter or a file stands in the way; the text says what, and what to do."""


class NoSuchLetter(DeskError):
    """There is no dead letter with this id."""


class NotEditable(DeskError):
    """A letter can't be edited in this way."""


class NotImportable(DeskError):
    """A file, or a line of one, is nothing we know."""


class NotTaken(DeskError):
    """The broker is there and does not take this message; the next one may fare better."""
