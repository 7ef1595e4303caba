"""What the repository can't do, in words for the person at it."""

from __future__ import annotations


class RepositoryError(Exception):
    """Something about a letter or a file stands in the way; the text says what, and what to do."""


class NoSuchLetter(RepositoryError):
    """There is no dead letter with this id."""


class NotEditable(RepositoryError):
    """A letter can't be edited in this way."""


class NotImportable(RepositoryError):
    """A file, or a line of one, is nothing we know."""


class NeedsSession(RepositoryError):
    """A replay can't be begun behind a pooler, which may give each transaction another session."""


class NoSuchCause(RepositoryError):
    """No letters have this fingerprint, or a beginning of it is not enough."""


class NotAsSeen(RepositoryError):
    """Other letters are meant now than somebody saw before he decided."""


class TookTooLong(RepositoryError):
    """PostgreSQL was given so many seconds to find letters, and they were not enough."""


class NoSuchReplay(RepositoryError):
    """There is no replay with this number."""


class NotWished(RepositoryError):
    """That can't be wished of a replay, as it is."""
