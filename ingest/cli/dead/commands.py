"""The commands about dead letters: each calls one function of the library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from consumers.dead_letters.selector import BY, OLDEST, OPEN, PAGED, REPLAYING, SORTS, Selector
from ingest.cli.dead.options import Fingerprint, accountable, as_somebody, selected, yes_option
from ingest.cli.dead.replay_commands import replay, replays
from ingest.cli.options import output_option, says_what_is_wrong
from ingest.cli.servers import settings_at
from schemas.labels import LETTER_STATES


@click.group()
def dead() -> None:
    """Dead letters: messages that could not be stored, kept with their reason, to be replayed.

    Looking changes nothing. What changes letters says first what it would do, and does it with --yes.
    """


dead.add_command(replay)
dead.add_command(replays)


@dead.command("list")
@selected
@click.option("--sort", type=click.Choice(tuple(SORTS)), default=OLDEST, show_default=True,
              help="Which come first: the oldest, the newest, those last seen, with most attempts, the largest. "
                   "--after goes on by the first two.")  # fmt: skip
@output_option
@says_what_is_wrong
def list_(selector: Selector, sort: str, output: str) -> None:
    """List letters that are not settled, or those in --state."""
    from ingest.cli.dead import letters

    if selector.after is not None and sort not in PAGED:
        raise click.UsageError(f"--after goes on by number: with --sort {' or '.join(PAGED)}")
    sys.exit(letters.show_list(settings_at(), selector, sort, output))


@dead.command()
@selected
@click.option("--by", type=click.Choice(tuple(BY)), help="Not by cause, but by whose they are.")
@output_option
@says_what_is_wrong
def groups(selector: Selector, by: str | None, output: str) -> None:
    """Letters by cause: how many, since when, why, and one of each as a sample."""
    from ingest.cli.dead import letters

    sys.exit(letters.show_groups(settings_at(), selector, by, output))


@dead.command()
@click.argument("fingerprint", type=Fingerprint())
@click.argument("text")
@as_somebody
@says_what_is_wrong
def note(fingerprint: str, text: str, who: str) -> None:
    """Leave a note on a cause, which `groups` shows: instead of the one there was; an empty TEXT takes it away."""
    from consumers.dead_letters.notes import LONGEST_NOTE
    from ingest.cli.dead import letters

    if len(text) > LONGEST_NOTE or "\x00" in text:
        raise click.UsageError(f"a note is text of at most {LONGEST_NOTE} characters")
    letters.note(settings_at(changing=True), fingerprint, text, who=who)


@dead.command()
@click.argument("letter_id", metavar="ID", type=click.IntRange(1))
@output_option
@says_what_is_wrong
def show(letter_id: int, output: str) -> None:
    """One letter in full: reason, envelope, history, body, and what would become of it now."""
    from ingest.cli.dead import letters

    letters.show_letter(settings_at(), letter_id, output)


@dead.command()
@selected
@output_option
@says_what_is_wrong
def stats(selector: Selector, output: str) -> None:
    """How many letters there are, by state, stage and reason."""
    from ingest.cli.dead import letters

    letters.show_stats(settings_at(), selector, output)


@dead.command()
@selected
@click.option("--patch", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Apply a JSON Patch (RFC 6902) instead of opening $EDITOR; for many letters too.")  # fmt: skip
@click.option("--set", "envelope", metavar="NAME=VALUE", multiple=True,
              help="Send it as another kind, by another door, or of another organization, node or run_id; for many "
                   "letters too. Repeatable.")  # fmt: skip
@click.option("--revert", is_flag=True, help="Send again what was received.")
@click.option("--anyway", is_flag=True, help="Save it even if it would still be refused.")
@click.argument("letter_id", metavar="[ID]", type=click.IntRange(1), required=False)
@yes_option
@accountable
@output_option
@says_what_is_wrong
def edit(selector: Selector, letter_id: int | None, **options: Any) -> None:
    """Correct what replays send; what was received is kept. The result is judged before it is saved."""
    from ingest.cli.dead import edit

    sys.exit(edit.edit(settings_at(changing=True), selector, letter_id, **options))


def _decision(name: str, help_: str) -> None:
    @dead.command(name, help=help_)
    @selected
    @yes_option
    @accountable
    @output_option
    @says_what_is_wrong
    def decide(selector: Selector, **options: Any) -> None:
        from ingest.cli.dead import letters

        letters.decide(settings_at(changing=True), selector, name, **options)


_decision("discard", "Give letters up: kept as discarded, with who and why.")
_decision("park", "Put letters aside: replayed only when named.")
_decision("unpark", "Open parked letters again; with --state discarded, discarded ones.")


@dead.command()
@selected
@says_what_is_wrong
def export(selector: Selector) -> None:
    """Print letters as NDJSON, payloads in base64; `dead import` and `chef-ingest import` read it."""
    from ingest.cli.dead import letters

    letters.export(settings_at(), selector)


@dead.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@accountable
@says_what_is_wrong
def import_(files: tuple[Path, ...], who: str, why: str | None) -> None:
    """Keep exported letters as letters here. A message that is a letter already is left as it is."""
    from ingest.cli.dead import letters

    letters.import_letters(settings_at(changing=True), files, who=who, why=why)


@dead.command()
@selected
@click.option("--unsettled-too", is_flag=True, help="Letters that nobody has settled as well: they are lost then.")
@yes_option
@accountable
@output_option
@says_what_is_wrong
def prune(selector: Selector, **options: Any) -> None:
    """Delete letters beyond INGEST_LETTERS_KEEP_DAYS and INGEST_LETTERS_MAX; settled ones first."""
    from ingest.cli.dead import letters

    letters.prune(settings_at(changing=True), selector, **options)


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--organization", help="Of failed-reporting-data.json, which does not name it.")
@click.option("--node", help="Of failed-reporting-data.json, which does not name it.")
@click.option("--run-id", help="Of failed-reporting-data.json; else its one run that began when the file says.")
@click.option(
    "--with-start", is_flag=True, help="Of failed-reporting-data.json: bring the start too if no run is known."
)
@click.option("--state", "states", type=click.Choice(LETTER_STATES), multiple=True, default=(OPEN, REPLAYING),
              show_default=True, help="Of exported letters: those in this state. Repeatable.")  # fmt: skip
@yes_option
@output_option
@says_what_is_wrong
def import_files(files: tuple[Path, ...], yes: bool, output: str, **wanted: Any) -> None:
    """Put messages from FILES into the queue: what a chef-client could not report, or exported letters.

    A chef-client whose end report failed leaves failed-reporting-data.json in its cache; one with
    data_collector.output_locations writes a message a line. Both are sent at once; of exported letters it is said
    first which would be, and --yes sends them. Importing twice does no harm: what is stored already is the same row.
    """
    from ingest.cli.dead.importing import Wanted
    from ingest.cli.dead.importing import import_files as run

    run(settings_at(changing=True), files, Wanted(**wanted), yes=yes, output=output)
