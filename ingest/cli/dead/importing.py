"""Puts messages from files into the queue, each confirmed: what a chef-client kept, exported letters."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consumers.broker.publisher import ConfirmingPublisher, NotTaken, publishing
from consumers.dead_letters.errors import NotImportable
from consumers.dead_letters.export import MARK, is_collected, posting_of, read_collected, read_letters
from consumers.dead_letters.kept import kept_report, postings
from consumers.dead_letters.posting import Posting
from consumers.dead_letters.repository import Repository, repository_at
from ingest.cli.output import print_rows, say
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be sent of files: letters in these states; a client's report as that of this run."""

    states: tuple[str, ...]
    organization: str | None = None
    node: str | None = None
    run_id: str | None = None
    with_start: bool = False


@dataclass(slots=True)
class Content:
    """What a file holds: how many messages would be sent; of an export, letters by state and whether they would be."""

    messages: int = 0
    states: Counter[str] = field(default_factory=Counter)


def import_files(settings: Settings, paths: Sequence[Path], wanted: Wanted, *, yes: bool, output: str) -> None:
    """Publish every message of every file, once all files are read through; exported letters only with `yes`, else say
    what would be. Raises NotImportable."""
    with repository_at(settings.database_url, who="") as repository:
        contents = {path: _content(repository, path, wanted) for path in paths}
        if any(content.states for content in contents.values()) and not yes:
            _preview(contents, wanted, output)
            return
        with publishing(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest dead") as publisher:
            for path in paths:
                _send(repository, publisher, path, wanted)


def _send(repository: Repository, publisher: ConfirmingPublisher, path: Path, wanted: Wanted) -> None:
    count = 0
    try:
        for posting in _postings(repository, path, wanted):
            posting.publish(publisher, {})
            count += 1
    except NotTaken as error:
        raise NotImportable(f"{path}, message {count + 1}: {error}") from None
    finally:
        if count:
            repository.execute("imported", count=count)
    say(f"{path}: {count} message{'s' if count != 1 else ''} in the queue")


def _content(repository: Repository, path: Path, wanted: Wanted) -> Content:
    content = Content()
    if _is_export(path):
        with path.open("rb") as file:
            content.states.update(letter.state for letter in read_letters(file, str(path)))
        content.messages = sum(content.states[state] for state in wanted.states)
    else:
        content.messages = sum(1 for _ in _postings(repository, path, wanted))
    return content


def _preview(contents: dict[Path, Content], wanted: Wanted, output: str) -> None:
    rows = [
        {"file": str(path), "state": state, "messages": count, "sent": "would be" if state in wanted.states else "no"}
        for path, content in contents.items()
        for state, count in (sorted(content.states.items()) or [("", content.messages)])
    ]
    print_rows(rows, output, sys.stdout)
    total = sum(content.messages for content in contents.values())
    say(f"{total} messages would be sent; --yes sends them; others by --state")


def _is_export(path: Path) -> bool:
    with path.open("rb") as file:
        return f'"{MARK}"'.encode() in file.read(4096)


def _postings(repository: Repository, path: Path, wanted: Wanted) -> Iterator[Posting]:
    with path.open("rb") as file:
        if _is_export(path):
            letters = read_letters(file, str(path))
            yield from (posting_of(letter) for letter in letters if letter.state in wanted.states)
        elif is_collected(file):
            yield from read_collected(file, str(path))
        else:
            report = kept_report(file.read(), str(path))
            facts = {"organization": wanted.organization, "node": wanted.node, "run_id": wanted.run_id}
            yield from postings(repository, report, **facts, with_start=wanted.with_start)
