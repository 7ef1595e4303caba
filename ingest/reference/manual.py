"""The man page: one page for the program and all its commands, in man(7)'s own macros."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ingest.reference.commands import PROGRAM, Described


def page(commands: Sequence[Described], exits: Mapping[str, str], version: str) -> str:
    """The page's text; it carries no date, so that the same code gives the same page."""
    program, *others = commands
    lines = [
        f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM} {_text(version)}" "User Commands"',
        ".SH NAME",
        f"{_text(PROGRAM)} \\- {_text(_lower_first(program.paragraphs[0].rstrip('.')))}",
        ".SH SYNOPSIS",
        f".B {_text(PROGRAM)}",
        f"[{_text('-h')} | {_text('--version')}] COMMAND [OPTIONS] [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_paragraphs(program.paragraphs[:1]),
        "A POST is queued in RabbitMQ by",
        f'.BR "{_text("chef-ingest serve")}" ,',
        "and judged and stored in PostgreSQL by",
        f'.BR "{_text("chef-ingest consume")}" .',
        ".SH COMMANDS",
    ]
    for command in others:
        lines += _command(command)
    lines += [
        ".SH ENVIRONMENT",
        "AMQP_URL, DATABASE_URL and INGEST_...: one variable for each setting. VARIABLE_FILE names a file that",
        "holds the value, and INGEST_CONFIG a TOML file with settings.",
        f".B {_text('chef-ingest config')}",
        "lists them all, with their values and where these came from.",
        ".SH EXIT STATUS",
    ]
    for code, meaning in exits.items():
        lines += [".TP", f".B {_text(code)}", _text(meaning)]
    return "\n".join(lines) + "\n"


def _command(command: Described) -> Iterator[str]:
    yield f'.SS "{_text(" ".join(command.path))}"'
    yield ".nf"
    yield f".B {_text(command.usage)}"
    yield ".fi"
    yield from _paragraphs(command.paragraphs)
    for typed, meaning in command.options:
        yield from (".TP", f".B {_text(typed)}", _text(meaning))


def _paragraphs(paragraphs: Sequence[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield ".PP"
        yield from (".nf", _text(paragraph), ".fi") if "\n" in paragraph else (_text(paragraph),)


def _text(text: str) -> str:
    """Text that troff prints as it is: no escape, no macro, hyphens that can be copied into a shell."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", safe)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
