"""Prints letters, and carries out a person's decisions about them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from consumers.dead_letters import changes, files, reading
from consumers.dead_letters.desk import at_desk
from consumers.dead_letters.rehearsal import Prospect, Rehearsal
from consumers.dead_letters.selector import UNSETTLED, Selector
from ingest.dead_letter_text import letter_facts, letter_text
from ingest.output import print_rows
from ingest.usage import version
from schemas.settings import Settings

LIST_COLUMNS = ("id", "state", "kind", "stage", "reason", "attempts", "last_seen", "node", "fingerprint", "why")
GROUP_COLUMNS = (
    "letters",
    "open",
    "kind",
    "stage",
    "reason",
    "first_seen",
    "last_seen",
    "fingerprint",
    "sample",
    "why",
)
LISTED_AT_ONCE = 100


def show_list(settings: Settings, selector: Selector, output: str) -> None:
    """Letters in one line each; for people, the first hundred."""
    chosen = selector.within(*UNSETTLED)
    with at_desk(settings.database_url, who="") as desk:
        total = reading.count(desk, chosen)
        if output == "table" and selector.limit is None:
            chosen = dataclasses.replace(chosen, limit=LISTED_AT_ONCE)
        rows = reading.listed(desk, chosen)
    print_rows(timed(rows), output, sys.stdout, LIST_COLUMNS)
    if len(rows) < total:
        say(f"{len(rows)} of {total}; --limit N shows more, `dead groups` shows causes")


def show_groups(settings: Settings, selector: Selector, output: str) -> None:
    """Causes, the most frequent first."""
    with at_desk(settings.database_url, who="") as desk:
        rows = reading.groups(desk, selector.within(*UNSETTLED))
    print_rows(timed(rows), output, sys.stdout, GROUP_COLUMNS)


def show_stats(settings: Settings, selector: Selector, output: str) -> None:
    """Figures by state, stage and reason."""
    with at_desk(settings.database_url, who="") as desk:
        print_rows(timed(reading.stats(desk, selector)), output, sys.stdout)


def show_letter(settings: Settings, letter_id: int, output: str) -> None:
    """One letter in full, judged anew."""
    with at_desk(settings.database_url, who="") as desk:
        letter = reading.letter(desk, letter_id)
        history = reading.history(desk, letter_id)
    [prospect] = rehearse(settings, [letter])
    if output == "table":
        sys.stdout.write(letter_text(letter, prospect, timed(history)))
    else:
        print_rows([letter_facts(letter, prospect, timed(history))], output, sys.stdout)


def decide(
    settings: Settings, selector: Selector, verb: str, *, yes: bool, who: str, why: str | None, output: str
) -> None:
    """Discard, park or unpark letters; without `yes`, list them by cause."""
    change = changes.CHANGES[verb]
    with at_desk(settings.database_url, who=who, why=why) as desk:
        if not yes:
            chosen = changes.affected(selector, change)
            print_rows(
                timed(reading.groups(desk, dataclasses.replace(chosen, limit=None))), output, sys.stdout, GROUP_COLUMNS
            )
            say(f"{reading.count(desk, chosen)} letters would be {change.what}; --yes does it")
            return
        say(f"{changes.apply(desk, selector, change)} letters {change.what}")


def prune(
    settings: Settings, selector: Selector, *, unsettled_too: bool, yes: bool, who: str, why: str | None, output: str
) -> None:
    """Delete by age and number; without `yes`, count."""
    limits = {"keep_days": settings.letters_keep_days, "most": settings.letters_max}
    with at_desk(settings.database_url, who=who, why=why) as desk:
        rows = changes.doomed(desk, selector, **limits, unsettled_too=unsettled_too)
        left = reading.count(desk, Selector()) - len(rows)
        counts = changes.prune(desk, rows) if yes else _by_state(rows)
    print_rows([{"state": state, "letters": each} for state, each in counts.items()], output, sys.stdout)
    say(f"{sum(counts.values())} letters {'pruned' if yes else 'would be pruned; --yes does it'}")
    if settings.letters_max and left > settings.letters_max:
        say(f"{left} stay, more than INGEST_LETTERS_MAX={settings.letters_max}: nobody has settled them")
        say("replay or discard them; --unsettled-too deletes them, and then they are lost")


def export(settings: Settings, selector: Selector) -> None:
    """Letters as NDJSON on standard output; all states unless some are asked for."""
    where, values = selector.where()
    with at_desk(settings.database_url, who="") as desk:
        for letter in desk.letters("letters", where, limit=selector.limit, **values):
            sys.stdout.write(files.to_line(letter) + "\n")


def import_letters(settings: Settings, paths: Sequence[Path], *, who: str, why: str | None) -> None:
    """Keep exported letters; all files or, at the first fault, those before it."""
    with at_desk(settings.database_url, who=who, why=why) as desk:
        for path in paths:
            with path.open("rb") as file:
                fresh = [files.import_letter(desk, each, str(path)) for each in files.read_letters(file, str(path))]
            say(f"{path}: {sum(fresh)} letters imported, {len(fresh) - sum(fresh)} were there already")


def rehearse(settings: Settings, letters: Sequence[Any]) -> list[Prospect]:
    """What would become of letters now."""
    rehearsal = Rehearsal(settings, version())
    try:
        return rehearsal(letters)
    finally:
        rehearsal.close()


def timed(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their times as text, UTC, to the second."""
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def say(line: str) -> None:
    """A line for the person at the terminal, kept out of what a script reads."""
    print(line, file=sys.stderr)


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def _by_state(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts
