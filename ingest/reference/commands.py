"""Reads the command line out of click: every command with its usage, its help and its options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc

import click

PROGRAM = "chef-ingest"


@dataclass(frozen=True, slots=True)
class Described:
    """One command. `options` are (how it is typed, what it is for).

    `paragraphs` are unwrapped: one with a line break in it is to be shown as it stands.
    """

    path: tuple[str, ...]
    usage: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    subcommands: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is typed, without arguments."""
        return " ".join((PROGRAM, *self.path))


def described(main: click.Group) -> list[Described]:
    """Every command that is not hidden, the program itself first, then by name; a group before its commands."""
    return list(_walk(main, click.Context(main, info_name=PROGRAM, **main.context_settings), ()))


def _walk(command: click.Command, context: click.Context, path: tuple[str, ...]) -> Iterator[Described]:
    names: list[str] = []
    if isinstance(command, click.Group):
        names = sorted(name for name, each in command.commands.items() if not each.hidden)
    # Every command has --help: it is told once.
    records = (each.get_help_record(context) for each in (command.params if path else command.get_params(context)))
    yield Described(
        path,
        " ".join((PROGRAM, *path, *command.collect_usage_pieces(context))),
        tuple(_paragraphs(command.help or "")),
        tuple(record for record in records if record is not None and record[1]),
        tuple(names),
    )
    for name in names:
        assert isinstance(command, click.Group)
        child = command.commands[name]
        yield from _walk(
            child, click.Context(child, info_name=name, parent=context, **child.context_settings), (*path, name)
        )


def _paragraphs(help_text: str) -> Iterator[str]:
    # click's own conventions: \f ends what is shown, \b keeps a paragraph's line breaks.
    for paragraph in cleandoc(help_text.split("\f")[0]).split("\n\n"):
        first, *rest = paragraph.split("\n")
        yield "\n".join(rest) if first == "\b" else " ".join(line.strip() for line in (first, *rest))
