"""What somebody has to say of a cause: one note, shown wherever letters are grouped."""

from __future__ import annotations

from typing import Final

from consumers.dead_letters.errors import NoSuchCause
from consumers.dead_letters.repository import Repository

LONGEST_NOTE: Final = 2000


def write(repository: Repository, fingerprint: str, text: str) -> str:
    """Leave a note, of at most LONGEST_NOTE characters, instead of the one there was; without text, none.

    The whole fingerprint, of which a beginning will do. Raises NoSuchCause where it begins none, or several.
    """
    found = [row["fingerprint"] for row in repository.rows("causes_beginning", fingerprint=fingerprint)]
    if len(found) != 1:
        what = "is the beginning of several causes" if found else "is no cause of letters"
        raise NoSuchCause(f"{fingerprint} {what}; `chef-ingest dead groups` shows those there are")
    if text:
        repository.execute("write_note", fingerprint=found[0], text=text)
    else:
        repository.execute("remove_note", fingerprint=found[0])
    return str(found[0])
