"""`python -m ingest.reference --write docs/reference --man docs/man` writes the reference pages and the man page."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ingest.cli import main as cli
from ingest.cli.options import version
from ingest.reference import asyncapi, commands, manual, metrics, pages, tables


def meanings() -> dict[str, Any]:
    """What no code says by itself: what each reason, answer and exit code means."""
    return tomllib.loads((files("ingest.reference") / "meanings.toml").read_text("utf-8"))


def reference() -> dict[str, str]:
    """File name -> text, for docs/reference."""
    words = meanings()
    return {
        "asyncapi.json": asyncapi.document(version()),
        "cli.md": pages.commands(commands.described(cli)),
        "settings.md": pages.settings(),
        "metrics.md": pages.metrics(metrics.of_shim(), metrics.of_supervisor()),
        "errors.md": pages.errors(words),
        "tables.md": pages.tables(tables.tables((files("schemas") / "schema.sql").read_text("utf-8"))),
    }


def man() -> dict[str, str]:
    """File name -> text, for docs/man."""
    return {"chef-ingest.1": manual.page(commands.described(cli), meanings()["exits"], version())}


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m ingest.reference", description="Write the reference pages.")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="where the reference pages go")
    parser.add_argument("--man", type=Path, metavar="FOLDER", help="where the man page goes")
    asked = parser.parse_args(arguments)
    if asked.write:
        _write(asked.write, reference())
    if asked.man:
        _write(asked.man, man())


if __name__ == "__main__":
    main(sys.argv[1:])
