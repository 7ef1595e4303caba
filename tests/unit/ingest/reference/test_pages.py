"""The reference pages and the man page say what the program is, and nothing in it goes unexplained."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from codes_in_the_code import answers, reasons
from rooms import ROOT

from ingest.reference import __main__ as program
from ingest.reference.tables import tables
from schemas.verdict import Conflict, UnknownRun

DOCS = ROOT / "docs"
WRITTEN = {"reference": program.reference(), "man": program.man()}
PAGES = [(folder, name) for folder, texts in WRITTEN.items() for name in texts]
MEANINGS = program.meanings()
OF_VERDICTS = {(409, Conflict.code), (404, UnknownRun.code), (503, "not_ready")}
"""Answers that are made of a verdict, or of a ping, and so have no `fault` of their own."""


@pytest.mark.parametrize(("folder", "name"), PAGES, ids=[name for _, name in PAGES])
def test_a_written_page_is_what_the_code_says(folder: str, name: str) -> None:
    """Whoever changes a command, a setting, a metric, a reason or a table runs `make docs`."""
    assert (DOCS / folder / name).read_text() == WRITTEN[folder][name], "run `make docs`"


def test_no_page_is_left_over() -> None:
    """A page that is not written any more is not there any more."""
    for folder, texts in WRITTEN.items():
        assert {path.name for path in (DOCS / folder).iterdir()} == texts.keys()


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    """Reasons in the source and reasons in the reference are the same, with the same stage."""
    assert {(each["stage"], each["code"]) for each in MEANINGS["reasons"]} == reasons()


def test_every_answer_that_says_no_is_explained() -> None:
    """Status and code of each refusal in the source are in the reference, and no other ones."""
    assert {(each["status"], each["code"]) for each in MEANINGS["answers"]} == answers() | OF_VERDICTS


def test_every_table_and_column_is_explained() -> None:
    """A new column brings a sentence along, above it in schema.sql."""
    found = tables((files("schemas") / "schema.sql").read_text("utf-8"))
    assert [table.name for table in found if not table.comment] == []
    assert [f"{table.name}.{column.name}" for table in found for column in table.columns if not column.comment] == []


def test_the_man_page_is_troff_without_accidents() -> None:
    """No help text starts a macro, and every hyphen can be copied into a shell."""
    for line in WRITTEN["man"]["chef-ingest.1"].splitlines():
        if line.startswith((".", "'")):
            assert line.split(" ")[0] in {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".BR", ".nf", ".fi"}
        assert "-" not in line.replace("\\-", "") or line.startswith(".TH")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """The printed script, evaluated by a real bash, asks the program itself."""
    script = """
        eval "$(chef-ingest completion bash)"
        for words in "dea" "dead rep" "dead replay --onl"; do
            COMPREPLY=() COMP_WORDS=(chef-ingest $words)
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _chef_ingest_completion chef-ingest
            printf '%s\\n' "${COMPREPLY[@]}"
        done
    """
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, env={"PATH": path}
    )
    assert done.stdout.split() == ["dead", "replay", "replays", "--only-fixed"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_click_s_script(shell: str, tmp_path: Path) -> None:
    """Each script registers `chef-ingest` and asks by the same variable."""
    done = subprocess.run(
        [sys.executable, "-m", "ingest", "completion", shell], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert f"_CHEF_INGEST_COMPLETE={shell}_complete" in done.stdout
    assert "chef-ingest" in done.stdout
