"""Where the tests passed: a run writes it down (`pytest --proved FILE`), and the page of it is made of that.

`python tests/proved.py docs/versions.md` writes the page (`make docs` does).
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
RECORDS: Final = ROOT / "docs" / "proved"

HEAD: Final = """\
# Versions

Written by `make docs` out of [what runs wrote down](proved/), in none of which a test failed. Such a run is
`make test PROVED=docs/proved/bookworm.json` on Debian 12, or `make newer SUITE=trixie`, which makes that Debian in a
folder, installs the project and Debian's servers there and tests it; or a part of either. The whole suite is run on
Debian 12 for each change.

"""


class Proof(NamedTuple):
    """A run without a failure: on what, when, and how many tests of which file passed."""

    debian: str
    python: str
    rabbitmq: str
    postgresql: str
    when: str
    passed: Mapping[str, int]


def proofs(folder: Path = RECORDS) -> list[Proof]:
    """What was written down, the oldest Debian first."""
    found = [Proof(**json.loads(path.read_text("utf-8"))) for path in folder.glob("*.json")]
    return sorted(found, key=lambda each: [int(part) for part in re.findall("[0-9]+", each.python)])


def page(found: Iterable[Proof]) -> str:
    """The page: one row a Debian, and below how many tests passed where."""
    found = list(found)
    lines = ["| Debian | Python | RabbitMQ | PostgreSQL | passed | on |", "|---|---|---|---|---|---|"]
    for each in found:
        count = f"{sum(each.passed.values())} tests of {len(each.passed)} files"
        lines.append(f"| {each.debian} | {each.python} | {each.rabbitmq} | {each.postgresql} | {count} | {each.when} |")
    lines += ["", f"| tests passed | {' | '.join(each.debian for each in found)} |", "|---" * (len(found) + 1) + "|"]
    sums = [_summed(each.passed) for each in found]
    for what in sorted({what for each in sums for what in each}):
        counts = " | ".join(str(each.get(what, "")) for each in sums)
        lines.append(f"| `{what}` | {counts} |")
    return HEAD + "\n".join(lines) + "\n"


def _summed(passed: Mapping[str, int]) -> Counter[str]:
    """Unit tests by their room, for they are many; all others by file."""
    sums: Counter[str] = Counter()
    for file, count in passed.items():
        sums[re.sub(r"^(tests/unit(?:/[a-z_0-9]+){1,2})/.*", r"\1", file)] += count
    return sums


def write_down(path: Path, passed: Iterable[str], today: date) -> None:
    """A run's record in that file: the ids of tests that passed, on the versions that this machine has."""
    files = Counter(each.partition("::")[0] for each in passed)
    proof = Proof(**_versions(), when=today.isoformat(), passed=dict(sorted(files.items())))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(proof._asdict(), indent=1) + "\n")


def _versions() -> dict[str, str]:
    # Late: the page is made without any of the project's own code.
    from ingest.local.install import Places, find

    programs = find(os.environ, Places())
    debian = platform.freedesktop_os_release()
    asked = {
        "rabbitmq": [f"{programs.rabbitmq}/rabbitmqctl", "version"],
        "postgresql": [f"{programs.postgres}/postgres", "--version"],
    }
    said = {name: subprocess.check_output(command, text=True) for name, command in asked.items()}
    return {
        "debian": f"{debian.get('VERSION_ID', 'testing')} ({debian.get('VERSION_CODENAME', '?')})",
        "python": platform.python_version(),
        **{name: re.findall(r"[0-9]+(?:\.[0-9]+)+", each)[0] for name, each in said.items()},
    }


class Recorder:
    """A pytest plugin of the controller: writes a record down where nothing failed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        if exitstatus == 0:
            passed = (each.nodeid for each in terminalreporter.stats.get("passed", ()))
            write_down(self._path, passed, datetime.now(UTC).date())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(proofs()))
