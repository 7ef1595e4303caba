"""The lock names one tested version of everything that setup.cfg asks for, and nothing of its machine."""

from __future__ import annotations

import configparser
import re
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rooms import FILES, ROOT, imported

LOCKED = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]


def wanted(*, dev: bool = True) -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"], *([setup["options.extras_require"]["dev"]] if dev else [])]
    return [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]


def test_the_lock_is_within_the_ranges() -> None:
    """Every requirement is locked to a version that its range allows."""
    versions = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LOCKED)}
    for requirement in wanted():
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run pip freeze again"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} is locked to {version}"


def test_every_requirement_has_an_upper_bound() -> None:
    """A release that breaks us is met in a test, not in an installation."""
    for requirement in wanted():
        assert any(each.operator in ("<", "<=", "==", "~=") for each in requirement.specifier), requirement


KNOWN_BAD = {"httptools": "0.6.1", "starlette": "0.49.0", "cryptography": "44.0.0"}
"""Releases with holes that a request can reach: smuggled requests, Range headers without end, a broken OpenSSL."""


def test_no_requirement_takes_a_release_known_to_be_bad() -> None:
    """Each floor is above them, so that an installation without the lock gets none either."""
    for requirement in wanted():
        bad = KNOWN_BAD.get(canonicalize_name(requirement.name))
        assert bad is None or not requirement.specifier.contains(bad), f"{requirement} takes {bad}"


def test_what_an_installation_asks_for_is_imported() -> None:
    """A package that nothing uses is one more to be kept free of holes."""
    asked = {canonicalize_name(requirement.name) for requirement in wanted(dev=False)}
    modules = {module.partition(".")[0] for path in FILES for module in imported(path)}
    providers = packages_distributions()
    used = {canonicalize_name(each) for module in modules for each in providers.get(module, ())}
    assert asked - used == set()


def test_the_lock_holds_names_and_versions_only() -> None:
    """No path, no host, no editable install."""
    for line in LOCKED:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line), line
