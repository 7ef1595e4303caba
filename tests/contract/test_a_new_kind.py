"""A kind is added by the recipe of CONTRIBUTING.md to a copy of everything, and held to the contract there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).with_name("toy")
CONTRACT = "tests/contract/test_kinds.py"
LAWS = ("tests/unit/schemas/kinds", "tests/unit/ingest/reference/test_pages.py")
OF_THE_KIND = "remark or says_what_it_is or schemas or written_page or explained"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """All that runs and all that tests it."""
    for name in ("consumers", "ingest", "schemas", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "toy"))
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def add_the_kind(copy: Path) -> set[str]:
    """By the recipe, step by step; the files that were written or changed by hand."""
    table = (TOY / "table.sql").read_text()
    migrations = sorted((copy / "schemas" / "migrations").glob("*.sql"))
    number = int(migrations[-1].name.partition("_")[0]) + 1
    schema = copy / "schemas" / "schema.sql"
    written = {
        "schemas/kinds/remark/__init__.py": (TOY / "kind.py").read_text(),
        "schemas/kinds/remark/documented.json": (TOY / "documented.json").read_text(),
        f"schemas/migrations/{number:04}_remarks.sql": table,
        "schemas/schema.sql": schema.read_text() + table,
    }
    for example in TOY.glob("*/*.json"):
        written[f"tests/messages/remark/{example.parent.name}/{example.name}"] = example.read_text()
    for name, text in written.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return set(written)


def run(copy: Path, *arguments: str, owner: str = "") -> str:
    """What a program of the copy says, in the copy's own code; it has to succeed."""
    # The owner names vhosts and databases: nobody else's.
    env = os.environ | {"PYTEST_XDIST_WORKER": f"{owner}toy", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-m", *arguments]
    done = subprocess.run(argv, cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_a_kind_added_by_the_recipe_keeps_the_contract(copy: Path, servers: Any, owner: str) -> None:
    """Its folder, its table and its examples, `make docs`, and not a word anywhere else."""
    written = add_the_kind(copy)
    assert len({name for name in written if not name.startswith("tests/")}) == 4
    run(copy, "ingest.reference", "--write", "docs/reference")
    options = ("-q", "-p", "no:cacheprovider", "--servers", str(servers.state.folder), "-k", OF_THE_KIND)
    said = run(copy, "pytest", *options, CONTRACT, *LAWS, owner=owner)
    passed = re.search(r"([0-9]+) passed, [0-9]+ deselected", said)
    # The contract has a score of clauses.
    assert passed, said
    assert int(passed[1]) > 20
