"""One letter's text in a person's editor: why it was refused at its head, opened again while it would be, kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from consumers.dead_letters.edit import indented
from consumers.runtime import durable
from ingest.cli.output import say
from schemas.printable import printable

END: Final = b"# ---- the message begins below this line ----\n"


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed and not saved, for the next time: a file of its own for each message."""

    path: Path

    @classmethod
    def of(cls, key: bytes, environ: Mapping[str, str]) -> Draft:
        """That of the message with this key."""
        folder = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or tempfile.gettempdir()) / ".local/state"
        return cls(Path(folder) / "chef-ingest" / f"letter-{key.hex()[:16]}.json")

    def read(self) -> bytes | None:
        """None where there is none."""
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    def keep(self, text: bytes) -> None:
        """Write it down, for its owner's eyes only."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.write(self.path, text.decode("utf-8", "surrogateescape"))
        say(f"what you typed is kept in {self.path}: the same command opens it again")

    def drop(self) -> None:
        """It is saved now."""
        self.path.unlink(missing_ok=True)


def typed(payload: bytes, head: Sequence[str], draft: Draft, judge: Callable[[bytes], str]) -> bytes | None:
    """What the person made of it; None where it was left as it is.

    `judge` says why a payload would be refused. What would be is opened again with the reason at its head, until it
    passes or is left as it was.
    """
    before = indented(payload)
    text, lines = draft.read() or before, list(head)
    while True:
        left, text = text, _opened(text, lines)
        if text == before:
            return None
        if not (refused := judge(text)) or text == left:
            return text
        lines = [f"not saved: {refused}", "Correct it, or leave it as it is to give up: it is kept.", *head]


def _opened(text: bytes, head: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="chef-ingest-") as folder:
        path = Path(folder) / "letter.json"
        path.write_bytes(b"".join(f"# {printable(line)}\n".encode() for line in head) + END + text)
        click.edit(filename=str(path))
        edited = path.read_bytes()
    return edited.partition(END)[2] if END in edited else _without_comments(edited)


def _without_comments(text: bytes) -> bytes:
    """What remains of a file whose head was changed by hand."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith(b"#"):
        lines.pop(0)
    return b"".join(lines)
