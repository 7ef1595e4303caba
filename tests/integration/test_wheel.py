"""What is shipped is whole: the wheel, installed where nothing else is, does the main job."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.reference.__main__ import reference
from tests.patience import LONG, PATIENT

ROOT = Path(__file__).parents[2]
PACKAGES = ("ingest", "consumers", "schemas")
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".local", ".*_cache", ".hypothesis", ".bench",
    "__pycache__", "build", "dist", "*.egg-info", "node_modules",
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the source in `source`, and in `dist` its sdist and the wheel built from that."""
    folder = tmp_path_factory.mktemp("wheel")
    # Copied, because setuptools leaves things behind, and takes along what an older build has left.
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    # Not isolated: what pyproject.toml asks for is installed here, `build` checks that, and nothing is downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist")]
    command.append(str(folder / "source"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("venv")
    # Ours installs into it, so that not even pip is there.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    wheel = next((built / "dist").glob("*.whl"))
    subprocess.run([*pip, "install", "--quiet", "--no-compile", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    shutil.rmtree((tmp_path / "state" / "data").resolve(), ignore_errors=True)


def sources(built: Path) -> set[str]:
    """Every file of the packages: code, schemas, SQL, the demonstration, the installer of servers."""
    source = built / "source"
    found = (path for package in PACKAGES for path in (source / package).rglob("*") if path.is_file())
    return {str(path.relative_to(source)) for path in found}


def test_the_wheel_has_every_file_of_the_packages_and_the_man_page(built: Path) -> None:
    """A file that the program reads is in the wheel too, and nothing else is."""
    wheel = next((built / "dist").glob("*.whl"))
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {name for name in names if name.split("/")[0] in PACKAGES}
    assert shipped == sources(built)
    assert any(name.endswith("share/man/man1/chef-ingest.1") for name in names)
    runbooks = {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert runbooks == {Path(name).name for name in names if "share/doc/chef-ingest/runbooks/" in name}


def test_the_sdist_has_the_tests_and_the_documents(built: Path) -> None:
    """Whoever packages it further can run its tests."""
    sdist = next((built / "dist").glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sources(built) <= names
    assert {"Makefile", "docs/index.md", "tests/conftest.py", "tests/fixtures/actions.jsonl", ".ci/venv"} <= names


def test_an_install_from_the_wheel_runs_the_demonstration(installed: Path, state: Path) -> None:
    """In an empty environment, away from the source: `up --demo` gives every answer, stores, and stops with 0."""
    here = {"PATH": f"{installed / 'bin'}:{os.environ['PATH']}", "HOME": str(state.parent)}
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    process = subprocess.Popen(
        ["chef-ingest", "up", "--demo", "--consumers", "1", "--state", str(state)],
        stdout=subprocess.PIPE, text=True, env=here | kept | PATIENT, cwd=state.parent,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1] and "listening at" not in lines[-1]:
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    output = "".join(lines) + process.communicate(timeout=LONG)[0]
    assert process.returncode == 0
    answered = re.findall(r"^  ([0-9]{3})  ", output, re.MULTILINE)
    assert answered == ["201", "200", "201", "200", "201", "201", "201", "400", "200"]
    assert "every answer as it should be" in output


def test_an_installed_program_finds_what_it_reads(installed: Path, tmp_path: Path) -> None:
    """Schemas, migrations and the reference's words are read from the environment, not from the source."""
    script = """if True:
        import ingest.shim.openapi, consumers.database.migrations, ingest.reference.__main__
        print(ingest.__file__)
        print(len(consumers.database.migrations.available()), len(ingest.reference.__main__.reference()))
        print(ingest.shim.openapi.document()["openapi"])
    """
    done = subprocess.run(
        [str(installed / "bin" / "python"), "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    where, migrations, pages, openapi = done.stdout.split()
    assert Path(where).is_relative_to(installed)
    assert int(migrations) >= 1
    assert int(pages) == len(reference())
    assert openapi.startswith("3.")
