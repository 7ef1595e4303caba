"""The command line: help for everything, secrets masked, one message and the documented exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rooms import ROOT

from ingest.cli import main
from ingest.cli.configuration import configure
from schemas.settings import ConfigError

EXAMPLE = ROOT / "tests" / "fixtures" / "example_action.json"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = list(commands(main))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    for name in ("AMQP_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_and_every_option_has_help(path: tuple[str, ...], command: click.Command) -> None:
    """Nobody has to read the source to know what a word does."""
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden and not command.hidden:
            assert parameter.help, f"{' '.join(path)} {parameter.name}"


def test_config_lists_settings_with_their_origin_and_no_secret(run: CliRunner) -> None:
    """A password in AMQP_URL is nowhere in the output."""
    environ = {"AMQP_URL": "amqp://u:s3cret@h/v", "INGEST_WAIT_SECONDS": "1"}
    for output in ("table", "json", "ndjson"):
        done = run.invoke(main, ["config", "--output", output], env=environ)
        assert done.exit_code == 0
        assert "s3cret" not in done.output
    rows = {row["setting"]: row for row in map(json.loads, done.output.splitlines())}
    assert rows["wait_seconds"]["value"] == "1.0"
    assert rows["wait_seconds"]["origin"] == "INGEST_WAIT_SECONDS"
    assert rows["amqp_url"]["origin"] == "AMQP_URL"


def test_a_configuration_fault_is_78_and_names_every_variable(run: CliRunner) -> None:
    """All faults in one go, one line each."""
    done = run.invoke(main, ["config"], env={"INGEST_WAIT_SECONDS": "soon", "INGEST_NO_SUCH": "1"})
    assert done.exit_code == 78
    assert "INGEST_WAIT_SECONDS" in done.stderr
    assert "INGEST_NO_SUCH" in done.stderr


def test_a_file_of_settings_is_read_and_its_faults_are_told(run: CliRunner, tmp_path: Path) -> None:
    """INGEST_CONFIG names a TOML file; a missing or broken one is a configuration fault."""
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("batch_messages = 17\n")
    bad.write_text("batch_messages = \n")
    done = run.invoke(main, ["config", "--output", "json"], env={"INGEST_CONFIG": str(good)})
    assert {"17"} == {row["value"] for row in json.loads(done.output) if row["setting"] == "batch_messages"}
    for path in (bad, tmp_path / "missing.toml"):
        done = run.invoke(main, ["config"], env={"INGEST_CONFIG": str(path)})
        assert done.exit_code == 78
        assert str(path) in done.stderr


def test_validate_judges_files_offline_and_names_the_profile(run: CliRunner, tmp_path: Path) -> None:
    """Exit 0 when all would be stored, 1 when one would not; each with its reasons."""
    bad = tmp_path / "bad.json"
    bad.write_text(EXAMPLE.read_text().replace('"app1"', '""', 1))
    done = run.invoke(main, ["validate", str(EXAMPLE), "--output", "json"])
    assert done.exit_code == 0
    assert [(row["verdict"], row["profile"]) for row in json.loads(done.output)] == [("valid", "documented")]
    done = run.invoke(main, ["validate", "--door", "chef", str(EXAMPLE), str(bad), "--output", "json"])
    assert done.exit_code == 1
    rows = json.loads(done.output)
    assert [row["verdict"] for row in rows] == ["valid", "invalid"]
    assert rows[1]["details"]["entity_name"] == "'' is not a valid entity name"
    assert rows[1]["profile"] == "wire"


def test_a_database_that_is_away_is_69_and_its_password_is_not_told(run: CliRunner) -> None:
    """The message says which variable leads nowhere."""
    done = run.invoke(main, ["migrate"], env={"DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/x"})
    assert done.exit_code == 69
    assert "DATABASE_URL" in done.stderr
    assert "s3cret" not in done.stderr


def test_a_broker_that_is_away_is_69(run: CliRunner) -> None:
    """`topology declare` without a broker says so."""
    done = run.invoke(main, ["topology", "declare"], env={"AMQP_URL": "amqp://u:s3cret@127.0.0.1:1/x"})
    assert done.exit_code == 69
    assert "AMQP_URL" in done.stderr
    assert "s3cret" not in done.stderr


def test_topology_show_prints_every_object(run: CliRunner) -> None:
    """What `declare` declares can be read beforehand."""
    done = run.invoke(main, ["topology", "show", "--output", "ndjson"])
    names = {row["name"] for row in map(json.loads, done.output.splitlines())}
    assert {"ingest.actions", "ingest.runs", "ingest.dead", "ingest.quarantine", "erchef.#"} <= names


BROKEN = {
    "removed": None,
    "garbled": b"\xff\x00 no such thing\n",
    "unknown": b"nonsense = 1\n",
    "wrong": b"consumers = 'many'\n",
    "many_digits": b"consumers = " + b"9" * 5000,
    "deep": b"consumers = " + b"[" * 5000,
    "cut": b"consumers = ",
    "folder": ...,
    "circle": "circle",
    "dangling": "nowhere",
}
"""What may have become of a file."""


def spoil(path: Path, what: object) -> Path:
    if isinstance(what, bytes):
        path.write_bytes(what)
    elif isinstance(what, str):
        path.symlink_to(path.name if what == "circle" else what)
    elif what is ...:
        path.mkdir()
    return path


@pytest.mark.parametrize("what", BROKEN.values(), ids=BROKEN)
def test_a_settings_file_that_cannot_be_used_is_a_fault_of_the_configuration(tmp_path: Path, what: object) -> None:
    """Whatever became of it: a supervisor that reads it at SIGHUP says so and goes on, as at a typing slip."""
    with pytest.raises(ConfigError) as caught:
        configure({"INGEST_CONFIG": str(spoil(tmp_path / "file", what))})
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "name", [each for each in BROKEN if each not in ("unknown", "wrong", "many_digits", "deep", "cut")]
)
def test_a_secret_s_file_that_cannot_be_read_is_a_fault_of_the_configuration(tmp_path: Path, name: str) -> None:
    """The same for each file that a variable names."""
    with pytest.raises(ConfigError, match="DATABASE_URL_FILE"):
        configure({"DATABASE_URL_FILE": str(spoil(tmp_path / "file", BROKEN[name]))})
