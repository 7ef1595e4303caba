"""What is said of versions is what was proved on them."""

from __future__ import annotations

import re
from configparser import ConfigParser

from rooms import ROOT

from tests.proved import page, proofs


def test_the_page_of_versions_is_what_runs_wrote_down() -> None:
    """Whoever proves a version runs `make docs`; no row is written by hand."""
    assert (ROOT / "docs" / "versions.md").read_text("utf-8") == page(proofs())


def test_each_python_that_the_package_names_was_proved() -> None:
    """A classifier is a promise to whoever installs it. The oldest is what the whole suite runs on, as lint is told."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    promised = re.findall(r"Python :: (3\.[0-9]+)", setup["metadata"]["classifiers"])
    assert promised == [".".join(each.python.split(".")[:2]) for each in proofs()]
    assert promised[0] == setup["mypy"]["python_version"]
