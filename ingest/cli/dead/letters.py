"""Prints letters, and carries out a person's decisions about them."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from consumers.database.connection import looking
from consumers.dead_letters import export as files
from consumers.dead_letters import notes, queries, transitions
from consumers.dead_letters.dry_run import Forecast, foreseeing
from consumers.dead_letters.repository import NAME, Repository, repository_at
from consumers.dead_letters.selector import PAGED, UNSETTLED, Selector
from ingest.cli.dead.text import letter_facts, letter_text
from ingest.cli.options import version
from ingest.cli.output import print_rows, say
from schemas.settings import Settings

LIST_COLUMNS = (
    "id", "state", "kind", "stage", "reason", "attempts", "last_seen", "node", "sent_by", "fingerprint", "why",
)  # fmt: skip
GROUP_COLUMNS = (
    "letters",
    "open",
    "kind",
    "stage",
    "reason",
    "nodes",
    "organizations",
    "senders",
    "first_seen",
    "last_seen",
    "fingerprint",
    "sample",
    "why",
    "example",
)
BY_COLUMNS = (
    "value", "letters", "open", "causes", "nodes", "organizations", "senders", "first_seen", "last_seen",
)  # fmt: skip
NOTED_COLUMNS = (*GROUP_COLUMNS, "note")
LISTED_AT_ONCE = 100


def show_list(settings: Settings, selector: Selector, sort: str, output: str) -> int:
    """Letters in one line each; for people, the first hundred. Exit code: 1 where what was asked for matches none."""
    chosen = selector.within(*UNSETTLED)
    with _looking(settings, selector) as repository:
        limit = LISTED_AT_ONCE if output == "table" and selector.limit is None else selector.limit
        rows = queries.listed(repository, dataclasses.replace(chosen, limit=limit), sort)
        # What is all there is needn't be looked for twice.
        total = queries.count(repository, chosen, sort) if len(rows) == limit else len(rows)
        there = "" if rows else _there(repository)
    print_rows(rows, output, sys.stdout, LIST_COLUMNS)
    if len(rows) < total:
        follow = f"--after {rows[-1]['id']} shows those that follow, " if rows and sort in PAGED else ""
        say(f"{len(rows)} of {total}; {follow}`dead groups` shows causes")
    return _unmatched(selector, there)


def show_groups(settings: Settings, selector: Selector, by: str | None, output: str) -> int:
    """Causes, or one of BY, the most frequent first. Exit code: 1 where what was asked for matches none."""
    chosen = selector.within(*UNSETTLED)
    with _looking(settings, selector) as repository:
        rows = queries.groups_by(repository, chosen, by) if by else queries.groups(repository, chosen)
        there = "" if rows else _there(repository)
    noted = any(row.get("note") for row in rows)
    columns = NOTED_COLUMNS if noted else GROUP_COLUMNS
    print_rows(rows, output, sys.stdout, BY_COLUMNS if by else columns)
    return _unmatched(selector, there)


def note(settings: Settings, fingerprint: str, text: str, *, who: str) -> None:
    """Leave a note on a cause; without text, take it away."""
    with repository_at(settings.database_url, who=who) as repository:
        whole = notes.write(repository, fingerprint, text)
    say(f"{whole}: {'noted' if text else 'its note is gone'}")


def show_stats(settings: Settings, selector: Selector, output: str) -> None:
    """Figures by state, stage and reason."""
    with _looking(settings, selector) as repository:
        rows = queries.stats(repository, selector)
    noted = any(row["notes"] for row in rows)
    columns = [name for name in rows[0] if noted or name != "notes"] if rows else []
    print_rows(rows, output, sys.stdout, columns)


def show_letter(settings: Settings, letter_id: int, output: str) -> None:
    """One letter in full, judged anew."""
    with repository_at(settings.database_url, who="") as repository:
        letter = queries.letter(repository, letter_id)
        history = queries.history(repository, letter_id)
    [forecast] = forecasts(settings, [letter])
    if output == "table":
        sys.stdout.write(letter_text(letter, forecast, history))
    else:
        print_rows([letter_facts(letter, forecast, history)], output, sys.stdout)


def decide(
    settings: Settings, selector: Selector, verb: str, *, yes: bool, who: str, why: str | None, output: str
) -> None:
    """Discard, park or unpark letters; without `yes`, list them by cause."""
    change = transitions.CHANGES[verb]
    with repository_at(settings.database_url, who=who, why=why) as repository:
        if not yes:
            chosen = transitions.affected(selector, change)
            causes = queries.groups(repository, dataclasses.replace(chosen, limit=None))
            print_rows(causes, output, sys.stdout, GROUP_COLUMNS)
            say(f"{queries.count(repository, chosen)} letters would be {change.what}; --yes does it")
            return
        say(f"{transitions.apply(repository, selector, change)} letters {change.what}")


def prune(
    settings: Settings, selector: Selector, *, unsettled_too: bool, yes: bool, who: str, why: str | None, output: str
) -> None:
    """Delete by age and number; without `yes`, count."""
    limits = {"keep_days": settings.letters_keep_days, "most": settings.letters_max}
    with repository_at(settings.database_url, who=who, why=why) as repository:
        rows = transitions.doomed(repository, selector, **limits, unsettled_too=unsettled_too)
        left = queries.count(repository, Selector()) - len(rows)
        counts = transitions.prune(repository, rows) if yes else _by_state(rows)
    print_rows([{"state": state, "letters": each} for state, each in counts.items()], output, sys.stdout)
    say(f"{sum(counts.values())} letters {'pruned' if yes else 'would be pruned; --yes does it'}")
    if settings.letters_max and left > settings.letters_max:
        say(f"{left} stay, more than INGEST_LETTERS_MAX={settings.letters_max}: nobody has settled them")
        say("replay or discard them; --unsettled-too deletes them, and then they are lost")


def export(settings: Settings, selector: Selector) -> None:
    """Letters as NDJSON on standard output; all states unless some are asked for."""
    where, values = selector.where()
    with repository_at(settings.database_url, who="") as repository:
        for letter in repository.letters("letters", where, limit=selector.limit, **values):
            sys.stdout.write(files.to_line(letter) + "\n")


def import_letters(settings: Settings, paths: Sequence[Path], *, who: str, why: str | None) -> None:
    """Keep exported letters; all files or, at the first fault, those before it."""
    with repository_at(settings.database_url, who=who, why=why) as repository:
        for path in paths:
            with path.open("rb") as file:
                fresh = [
                    files.import_letter(repository, each, str(path)) for each in files.read_letters(file, str(path))
                ]
            say(f"{path}: {sum(fresh)} letters imported, {len(fresh) - sum(fresh)} were there already")


def forecasts(settings: Settings, letters: Sequence[Any]) -> list[Forecast]:
    """What would become of letters now."""
    with foreseeing(settings, version()) as dry_run:
        return dry_run(letters)


def _looking(settings: Settings, selector: Selector) -> AbstractContextManager[Repository]:
    """To look only; where every body has to be searched, within the time for looking."""
    if selector.text is None:
        return repository_at(settings.database_url, who="")
    return repository_at(settings.database_url, who="", purpose=looking(NAME, settings.read_timeout_seconds))


def _there(repository: Repository) -> str:
    """How many letters there are at all, by state."""
    counts: Counter[str] = Counter()
    for row in queries.stats(repository, Selector()):
        counts[row["state"]] += row["letters"]
    return ", ".join(f"{letters} {state}" for state, letters in counts.items()) or "none at all"


def _unmatched(selector: Selector, there: str) -> int:
    if not there or not selector.asked():
        return 0
    say(f"no letters match {selector.in_words()}; there are: {there}")
    return 1


def _by_state(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts
