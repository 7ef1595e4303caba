"""The pages of docs/reference, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ingest.reference.commands import Described
from ingest.reference.metrics import Metric
from ingest.reference.tables import ColumnEntry, TableEntry
from schemas.settings import Settings, variable

NOTE = "*Written by `make docs` out of the code: change the code, not this page.*"


def commands(described: Sequence[Described]) -> str:
    """cli.md."""
    parts = ["# Commands", NOTE]
    for command in described:
        parts += [f"{'#' * min(2 + max(len(command.path) - 1, 0), 3)} {command.name}"]
        parts += [f"```\n{command.usage}\n```", *map(_paragraph, command.paragraphs)]
        if command.subcommands:
            names = (" ".join((command.name, name)) for name in command.subcommands)
            parts += ["\n".join(f"- [`{name}`](#{name.replace(' ', '-')})" for name in names)]
        options = [f"- `{typed}`: {_prose(meaning)}" for typed, meaning in command.options]
        parts += ["\n".join(options)]
    return _page(parts)


def settings() -> str:
    """settings.md."""
    rows = []
    for each in fields(Settings):
        facts = each.metadata
        help_text = facts["help"]
        if facts["choices"]:
            help_text += f" ({', '.join(f'`{choice}`' for choice in facts['choices'])})"
        if facts["minimum"] is not None:
            help_text += f"; at least {facts['minimum']}"
        if facts["maximum"] is not None:
            help_text += f"; at most {facts['maximum']}"
        rows.append((f"`{variable(each.name)}`", f"`{each.name}`", _default(each.default), facts["unit"], help_text))
    return _page(
        [
            "# Settings",
            NOTE,
            "A value is looked for in this order: an option on the command line, the environment variable, a file "
            "named in *variable*`_FILE` (for secrets), the TOML file named in `INGEST_CONFIG` (by the key), the "
            "default. What is misspelt or out of range stops the program with exit code 78 and names every fault. "
            "`chef-ingest config` prints what is in force and where it came from, without secrets.",
            _table(("variable", "key in the file", "default", "unit", "what for"), rows),
        ]
    )


def metrics(shim: Iterable[Metric], supervisor: Iterable[Metric]) -> str:
    """metrics.md."""
    head = ("metric", "type", "labels", "what it counts or measures")
    return _page(
        [
            "# Metrics",
            NOTE,
            "Prometheus, text format. A histogram has `_bucket`, `_sum` and `_count`. No label holds a name of an "
            "organization, a node or an id.",
            "## The shim: `/metrics` of `chef-ingest serve`",
            _table(head, [_metric_row(each) for each in shim]),
            "## The supervisor: `INGEST_METRICS_LISTEN` of `chef-ingest consume`",
            _table(head, [_metric_row(each) for each in supervisor]),
        ]
    )


def errors(meanings: Mapping[str, Any]) -> str:
    """errors.md."""
    answers = [(str(each["status"]), f"`{each['code']}`", each["means"], each["do"]) for each in meanings["answers"]]
    reasons = [(each["stage"], f"`{each['code']}`", each["means"], each["do"]) for each in meanings["reasons"]]
    exits = list(meanings["exits"].items())
    return _page(
        [
            "# Errors",
            NOTE,
            "## Answers of the shim",
            'An error\'s body is `{"error": TEXT, "details": {NAME: TEXT}}`; with `Accept: application/problem+json` '
            "it is a problem document (RFC 9457) whose `code` is the code here. The log line of the request has it "
            "as `verdict`.",
            _table(("status", "code", "means", "what to do"), answers),
            "What is wrong with a message itself is answered 400 (413 for `too_large`, 415 for `content_encoding`) "
            "with the reason below as its code.",
            "## Reasons of dead letters",
            "`chef-ingest dead groups` counts by them, `chef-ingest dead list --reason CODE` selects by them.",
            _table(("stage", "reason", "means", "what to do"), reasons),
            "## Exit codes",
            _table(("code", "means"), exits),
        ]
    )


def tables(found: Sequence[TableEntry]) -> str:
    """tables.md."""
    parts = [
        "# Tables",
        NOTE,
        "`chef-ingest migrate` makes them. Times are UTC instants, JSON is the sender's own text.",
    ]
    for table in found:
        parts += [f"## {table.name}", table.comment]
        rows = [(f"`{each.name}`", _type(each), _column(each)) for each in table.columns]
        parts += [_table(("column", "type", "what it holds"), rows)]
        facts = [f"Partitioned by `{table.partition}`, a month each."] if table.partition else []
        facts += [f"Index: `{index}`." for index in table.indexes]
        facts += [f"Always: `{check}`." for check in table.checks]
        parts += ["\n".join(f"- {fact}" for fact in facts)]
    return _page(parts)


def _type(column: ColumnEntry) -> str:
    return column.type if column.required else f"{column.type} or null"


def _column(column: ColumnEntry) -> str:
    rest = column.rest.replace("NOT NULL", "").strip()
    return f"{column.comment} `{' '.join(rest.split())}`".strip() if rest else column.comment


def _metric_row(metric: Metric) -> tuple[str, ...]:
    return f"`{metric.name}`", metric.type, ", ".join(f"`{label}`" for label in metric.labels), metric.help


def _default(value: Any) -> str:
    return "empty" if value == "" else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _paragraph(text: str) -> str:
    return f"```\n{text}\n```" if "\n" in text else _prose(text)


def _prose(text: str) -> str:
    return text.replace("*", r"\*").replace("<", r"\<")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join("|".join(("", *(f" {cell} " if cell else " " for cell in line), "")) for line in lines)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
