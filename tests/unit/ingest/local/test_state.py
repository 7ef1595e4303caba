"""The state folder: one owner, remembered ports and secrets, and the URLs of a running stack."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.cli import main
from ingest.local.state import PORTS, StateError, StateFolder, read_environment


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    owned = StateFolder(tmp_path / "state")
    owned.acquire()
    yield owned
    owned.release()


def test_ports_and_secrets_are_remembered(state: StateFolder) -> None:
    """The same folder gives the same ports and secrets in the next run."""
    ports = [state.port(name) for name in ("amqp", "postgres")]
    secret = state.secret("password")
    again = StateFolder(state.folder)
    assert [again.port(name) for name in ("amqp", "postgres")] == ports
    assert again.secret("password") == secret
    assert len(set(ports)) == 2
    assert all(port in PORTS for port in ports)


def test_a_port_that_was_taken_meanwhile_is_replaced(state: StateFolder) -> None:
    """A remembered port on which somebody else listens now is given up for another."""
    port = state.port("amqp")
    with socket.create_server(("127.0.0.1", port)):
        other = state.port("amqp")
    assert other != port
    assert state.port("amqp") == other


def test_secrets_are_for_their_owner_only(state: StateFolder) -> None:
    """The files that hold passwords are readable by their owner alone."""
    state.secret("password")
    state.publish(amqp_url="amqp://user:secret@host")
    for name in ("state.json", "running.json"):
        assert stat.S_IMODE((state.folder / name).stat().st_mode) == 0o600


def test_a_second_owner_is_refused_until_the_first_releases(state: StateFolder) -> None:
    """The folder has one owner at a time, and is free again after release."""
    second = StateFolder(state.folder)
    with pytest.raises(StateError, match=f"process {os.getpid()}"):
        second.acquire()
    state.release()
    second.acquire()
    second.release()


def test_a_second_owner_hears_how_far_the_first_is(state: StateFolder) -> None:
    """Being started, running and where, or being stopped; what is being stopped is used by nobody any more."""
    second = StateFolder(state.folder)
    with pytest.raises(StateError, match="is being started on"):
        second.acquire()
    state.publish(amqp_url="amqp://a", database_url="postgresql://b", ingest_url="http://c")
    state.enter("running")
    with pytest.raises(StateError, match=rf"already runs on .* \(process {os.getpid()}\), at http://c: use it"):
        second.acquire()
    state.enter("stopping")
    with pytest.raises(StateError, match="is being stopped on"):
        second.acquire()
    with pytest.raises(StateError, match="no local stack runs"):
        read_environment(state.folder)


def test_logs_begin_afresh_and_the_last_ones_are_kept(state: StateFolder) -> None:
    """One run's and the one's before it: so many starts never fill a disk."""
    for text in ("first", "second", "third"):
        (state.logs / "shim.log").write_text(text)
        state.begin_logs()
    assert {each.name: each.read_text() for each in state.logs.iterdir()} == {"shim.log.1": "third"}


def test_the_environment_is_that_of_a_running_stack(state: StateFolder) -> None:
    """What is published, in steps, is read back under the variables' names until the owner releases."""
    with pytest.raises(StateError, match="no local stack runs"):
        read_environment(state.folder)
    state.publish(amqp_url="amqp://a", database_url="postgresql://b")
    state.publish(ingest_url="http://c")
    assert read_environment(state.folder) == {
        "AMQP_URL": "amqp://a",
        "DATABASE_URL": "postgresql://b",
        "INGEST_URL": "http://c",
    }
    state.release()
    with pytest.raises(StateError, match="no local stack runs"):
        read_environment(state.folder)


def test_what_a_shell_makes_of_the_environment_is_what_was_published(state: StateFolder) -> None:
    """`eval "$(chef-ingest env)"`: nothing that a URL holds is run, or cut off."""
    urls = {"amqp_url": "amqp://h; touch owned", "database_url": "postgresql://h/d?a=1&b='$(touch owned)'"}
    state.publish(**urls)
    told = CliRunner().invoke(main, ["env", "--state", str(state.folder)])
    assert told.exit_code == 0
    # A child sees only what was exported.
    script = """eval "$1"; sh -c 'printf "%s\\n" "$AMQP_URL" "$DATABASE_URL"'"""
    said = subprocess.run(
        ["sh", "-c", script, "sh", told.output], cwd=state.folder, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == list(urls.values())
    assert not (state.folder / "owned").exists()


def test_the_environment_comes_as_lines_for_other_programs_too(state: StateFolder) -> None:
    """A dotenv file knows no `export`, and JSON is the URLs as they are."""
    state.publish(amqp_url="amqp://h/%2Fanalytics", database_url="postgresql://h/d?a=1&b=2")
    asked = ["env", "--state", str(state.folder), "--format"]
    lines = CliRunner().invoke(main, [*asked, "dotenv"]).output.splitlines()
    assert lines == ["AMQP_URL=amqp://h/%2Fanalytics", "DATABASE_URL='postgresql://h/d?a=1&b=2'"]
    assert json.loads(CliRunner().invoke(main, [*asked, "json"]).output) == read_environment(state.folder)


def test_a_dead_owners_urls_are_not_believed(state: StateFolder) -> None:
    """URLs that a killed owner left behind are nobody's."""
    state.publish(amqp_url="amqp://a")
    file = state.folder / "running.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "started": "another-boot/1"}))
    with pytest.raises(StateError, match="no local stack runs"):
        read_environment(state.folder)


def test_an_unusable_folder_is_an_error_with_its_name(tmp_path: Path) -> None:
    """A state folder that cannot be made is a StateError naming it."""
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=str(tmp_path / "file")):
        StateFolder(tmp_path / "file" / "state").acquire()


def test_a_damaged_file_is_an_error_that_says_which(state: StateFolder) -> None:
    """A state file that is no JSON is reported by its path and remedy, not by a traceback."""
    (state.folder / "state.json").write_text("{")
    with pytest.raises(StateError, match=r"state\.json is damaged.*remove it"):
        state.port("amqp")


@pytest.mark.parametrize("left", ["", "\n", "\0" * 300])
def test_a_file_emptied_by_a_power_cut_is_none(state: StateFolder, left: str) -> None:
    """Its name was on the disk before its content: it says nothing, and nothing is in the way."""
    port = state.port("amqp")
    for name in ("state.json", "running.json"):
        (state.folder / name).write_text(left)
    assert state.port("amqp") > 0
    assert port > 0
    assert not state.remembers("password")
    with pytest.raises(StateError, match="no local stack runs"):
        read_environment(state.folder)


def test_what_is_written_is_on_the_disk_before_its_name_is(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content, then name, then the folder's own entry."""
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        sync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        steps.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    state.secret("fresh")
    assert steps == ["content", "name", "folder"]


def test_a_folder_of_somebody_else_is_not_believed(state: StateFolder) -> None:
    """A folder that lies in the way must not say where messages and passwords go."""
    state.publish(amqp_url="amqp://user:secret@host")
    assert read_environment(state.folder)
    os.chown(state.folder / "running.json", 12345, 12345)
    with pytest.raises(StateError, match="belongs to another user"):
        read_environment(state.folder)


def test_data_stays_in_the_folder_where_it_can(state: StateFolder) -> None:
    """For servers that run as ourselves the data lies in the state folder."""
    assert state.data([None]) == state.folder / "data"
    assert state.data([None]).is_dir()


def test_a_dangling_data_link_is_an_error(state: StateFolder) -> None:
    """Data that was moved out and is gone is said to be, instead of an empty stack put in its place."""
    (state.folder / "data").symlink_to(state.folder / "gone")
    with pytest.raises(StateError, match="gone"):
        state.data([None])
