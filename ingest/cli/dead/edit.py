"""Edits letters for a person: in $EDITOR, or by a JSON Patch over many; judged before it is saved."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from consumers.dead_letters import edit as editing
from consumers.dead_letters import queries
from consumers.dead_letters.dry_run import DryRun, foreseeing
from consumers.dead_letters.errors import NotEditable
from consumers.dead_letters.repository import Letter, Repository, repository_at
from consumers.dead_letters.selector import OPEN, PARKED, Selector
from ingest.cli.dead.editor import Draft, typed
from ingest.cli.options import as_text, version
from ingest.cli.output import print_rows, say
from schemas.printable import printable
from schemas.settings import Settings

EDIT_COLUMNS = ("letter", "saved", "now")


def edit(
    settings: Settings, selector: Selector, letter_id: int | None, *, patch: Path | None, envelope: tuple[str, ...],
    revert: bool, anyway: bool, yes: bool, who: str, why: str | None, output: str,
) -> int:  # fmt: skip
    """Exit code: 0 when every letter is, or would be, saved; else 1."""
    chosen = Selector(ids=(letter_id,)) if letter_id else selector
    facts = _facts(envelope)
    by_hand = not patch and not facts
    if by_hand and not revert and len(chosen.ids) != 1:
        raise click.UsageError("name one letter to edit, or give --patch FILE or --set NAME=VALUE for many")
    operations = _operations(patch) if patch else None
    with (
        foreseeing(settings, version()) as dry_run,
        repository_at(settings.database_url, who=who, why=why) as repository,
    ):
        letters = queries.letters(repository, chosen.within(OPEN, PARKED))
        if revert:
            step: Callable[[Letter], dict[str, Any]] = lambda letter: _revert(repository, letter, yes)  # noqa: E731
        else:
            editor = _Editor(repository, dry_run, operations, facts, anyway, yes)
            step = editor.edit
        rows = [step(letter) for letter in letters]
    print_rows(rows, output, sys.stdout, EDIT_COLUMNS)
    if not rows:
        say("no open or parked letter is meant")
    elif not yes and any(row["saved"] == "would be" for row in rows):
        say("nothing is saved yet; --yes does it")
    return 0 if rows and all(row["saved"] in ("yes", "would be") for row in rows) else 1


class _Editor:
    """Edits letters one by one; what would still be refused is saved only `anyway`."""

    def __init__(
        self, repository: Repository, dry_run: DryRun, operations: list[dict[str, Any]] | None,
        envelope: dict[str, str], anyway: bool, save: bool,
    ) -> None:  # fmt: skip
        self._repository = repository
        self._dry_run = dry_run
        self._operations = operations
        self._envelope = envelope
        self._anyway = anyway
        self._save = save

    def edit(self, letter: Letter) -> dict[str, Any]:
        """One row: letter, whether it is saved, and what would become of it."""
        draft = Draft.of(letter.replay_key(), os.environ)
        try:
            payload = self._payload(letter, draft)
        except NotEditable as error:
            return {"letter": letter.id, "saved": "no", "now": str(error)}
        row = self._saved(letter, payload)
        if payload is not None and self._operations is None:
            if row["saved"] == "yes":
                draft.drop()
            else:
                draft.keep(payload)
        return row

    def _saved(self, letter: Letter, payload: bytes | None) -> dict[str, Any]:
        """The same, of what its payload is to be."""
        edited, forecast = correction = editing.consider(self._dry_run, letter, payload, self._envelope)
        if forecast is None:
            return {"letter": letter.id, "saved": "no", "now": "not changed"}
        if not correction.good and not self._anyway:
            return {"letter": letter.id, "saved": "no", "now": f"{forecast.text}; --anyway saves it"}
        if not (self._save or (payload is not None and self._operations is None and _agreed(forecast.text))):
            return {"letter": letter.id, "saved": "would be", "now": forecast.text}
        saved = editing.save(self._repository, letter, edited, self._operations)
        plain = payload is not None and letter.message().content_encoding
        now = forecast.text + (" (sent plain, without gzip)" if plain else "")
        return {"letter": letter.id, "saved": "yes" if saved else "no", "now": now}

    def _payload(self, letter: Letter, draft: Draft) -> bytes | None:
        """None: it stays as it is."""
        if self._operations is not None:
            return editing.patched(letter, self._operations)
        if self._envelope:
            return None
        head = [f"letter {letter.id}: stage {letter.stage}, reason {letter.reason}"]
        head += [f"  {name}: {text}" for name, text in queries.pairs(letter.details)]
        return typed(editing.editable(letter), head, draft, lambda text: self._refusal(letter, text))

    def _refusal(self, letter: Letter, payload: bytes) -> str:
        """Why this payload would be refused; empty where it would not, or is to be saved anyway."""
        forecast = self._dry_run.message(letter, editing.corrected(letter, payload, {}).message())
        return "" if forecast.passes is True or self._anyway else forecast.text


def _facts(pairs: tuple[str, ...]) -> dict[str, str]:
    facts = {name: value for name, _, value in (pair.partition("=") for pair in as_text(pairs))}
    try:
        editing.check_envelope(facts)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from None
    return facts


def _revert(repository: Repository, letter: Letter, yes: bool) -> dict[str, Any]:
    saved = "yes" if yes and editing.revert(repository, letter) else "no" if yes else "would be"
    return {"letter": letter.id, "saved": saved, "now": "sends what was received"}


def _operations(path: Path) -> list[dict[str, Any]]:
    try:
        return editing.operations(path.read_bytes())
    except ValueError as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--patch") from None


def _agreed(forecast: str) -> bool:
    """Asks whoever has just typed it, where there is somebody to ask."""
    return sys.stdin.isatty() and click.confirm(f"{printable(forecast)}; save it?", err=True)
