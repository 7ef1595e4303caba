"""Puts messages from files into the queue, each confirmed: what a chef-client kept, exported letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from consumers.broker.publisher import NotTaken, publishing
from consumers.dead_letters.errors import NotImportable
from consumers.dead_letters.export import MARK, failed_report, is_collected, posting_of, read_collected, read_letters
from consumers.dead_letters.posting import Posting
from ingest.cli.output import say
from schemas.settings import Settings


def import_files(
    settings: Settings, paths: Sequence[Path], *, organization: str | None, node: str | None, run_id: str | None
) -> None:
    """Publish every message of every file, once all files are read through. Raises NotImportable."""
    facts = {"organization": organization, "node": node, "run_id": run_id}
    for path in paths:
        for _ in _postings(path, **facts):
            pass
    with publishing(settings.amqp_url, heartbeat=settings.heartbeat_seconds, name="chef-ingest dead") as publisher:
        for path in paths:
            count = 0
            for posting in _postings(path, **facts):
                count += 1
                try:
                    posting.publish(publisher, {})
                except NotTaken as error:
                    raise NotImportable(f"{path}, message {count}: {error}") from None
            say(f"{path}: {count} message{'s' if count != 1 else ''} in the queue")


def _postings(path: Path, **facts: str | None) -> Iterator[Posting]:
    with path.open("rb") as file:
        start = file.read(4096)
        file.seek(0)
        if f'"{MARK}"'.encode() in start:
            yield from (posting_of(letter) for letter in read_letters(file, str(path)))
        elif is_collected(file):
            yield from read_collected(file, str(path))
        else:
            yield failed_report(file.read(), str(path), **facts)
