"""Which servers a command talks to: what is named wins, else those of the local stack that runs; it says why these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.cli import main
from ingest.local.state import StateFolder

AMQP, DATABASE = "amqp://ingest:s3cret@127.0.0.1:1/%2Fanalytics", "postgresql://ingest:s3cret@127.0.0.1:1/ingest"
USING = "using the local stack in .local"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and a shell in which nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name in ("AMQP_URL", "DATABASE_URL", "INGEST_STATE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def stack(here: Path) -> Iterator[StateFolder]:
    """A local stack runs in `.local`, as far as a command sees; its servers answer nobody."""
    state = StateFolder(here / ".local")
    state.acquire()
    state.publish(amqp_url=AMQP, database_url=DATABASE)
    yield state
    state.release()


def run(*arguments: str, **environ: str) -> Result:
    done = CliRunner().invoke(main, arguments, env=environ, catch_exceptions=False)
    assert "s3cret" not in done.output
    return done


def origins(**environ: str) -> dict[str, str]:
    """Where `config` says that the addresses came from."""
    done = run("config", "--output", "json", **environ)
    assert done.stderr == "", "nothing is said beside JSON"
    rows = {row["variable"]: row["origin"] for row in json.loads(done.stdout)}
    return {name: rows[name] for name in ("AMQP_URL", "DATABASE_URL")}


def test_what_nothing_sets_is_the_running_stack_s_and_config_says_so(stack: StateFolder) -> None:
    """Both addresses, by their origin, and in one line for people; a stack that has stopped is not used."""
    assert set(origins().values()) == {"local stack in .local"}
    assert run("config").stderr == f"{USING}\n"
    stack.release()
    assert set(origins().values()) == {"default"}
    assert run("config").stderr == ""


def test_what_is_named_wins_and_two_systems_are_not_mixed(stack: StateFolder, here: Path) -> None:
    """A variable, a file that one names, or the settings' file: with one address of another system, the other is not
    the stack's; with one that is the stack's own, it is."""
    elsewhere = "postgresql://u:p@elsewhere/ingest"
    (here / "url").write_text(elsewhere)
    (here / "settings.toml").write_text(f'database_url = "{elsewhere}"\n')
    for environ, origin in (
        ({"DATABASE_URL": elsewhere}, "DATABASE_URL"),
        ({"DATABASE_URL_FILE": "url"}, "DATABASE_URL_FILE"),
        ({"INGEST_CONFIG": "settings.toml"}, "file settings.toml"),
    ):
        assert origins(**environ) == {"AMQP_URL": "default", "DATABASE_URL": origin}
    assert origins(DATABASE_URL=DATABASE) == {"AMQP_URL": "local stack in .local", "DATABASE_URL": "DATABASE_URL"}


COMMANDS = [
    ("migrate",), ("topology", "declare"), ("status",), ("audit",), ("drift",), ("partitions", "list"),
    ("partitions", "create"), ("partitions", "drop", "--before", "2020-01"), ("dead", "list"), ("dead", "groups"),
    ("dead", "show", "1"), ("dead", "stats"), ("dead", "export"), ("dead", "replay"), ("dead", "discard"),
    ("dead", "park"), ("dead", "unpark"), ("dead", "edit", "1", "--revert"), ("dead", "prune"), ("spool", "list"),
    ("dead", "import", "letters"), ("import", "letters"),
]  # fmt: skip
CHANGING = {"migrate", "replay", "discard", "park", "unpark", "edit", "prune", "drop", "import"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_finds_the_stack_and_what_changes_things_names_the_database(
    stack: StateFolder, here: Path, command: tuple[str, ...]
) -> None:
    """One line on standard error, before anything else; none beside JSON."""
    (here / "letters").write_text("")
    first = run(*command).stderr.splitlines()[0]
    about = ": database postgresql://ingest:***@127.0.0.1:1/ingest" if CHANGING & set(command) else ""
    assert first == USING + about
    if "--output" in run(*command, "--help").stdout:
        assert USING not in run(*command, "--output", "json").stderr


def test_what_changes_things_names_the_database_that_was_named(here: Path) -> None:
    """Without a local stack too: `replay` says which database it is about, and who says so."""
    first = run("dead", "replay", DATABASE_URL=DATABASE).stderr.splitlines()[0]
    database = "database postgresql://ingest:***@127.0.0.1:1/ingest"
    assert first == f"{database}; DATABASE_URL comes from the environment variable DATABASE_URL"
    assert not run("dead", "list", DATABASE_URL=DATABASE).stderr.startswith("database")


def test_a_refused_connection_says_where_its_address_came_from(here: Path, stack: StateFolder) -> None:
    """The stack, a variable, a file that one names, the settings' file; in `status` and `doctor` too."""
    (here / "url").write_text(DATABASE + "2")
    (here / "settings.toml").write_text(f'database_url = "{DATABASE}2"\n')
    for environ, words in (
        ({}, "DATABASE_URL is that of the local stack in .local"),
        ({"DATABASE_URL": DATABASE + "2"}, "DATABASE_URL comes from the environment variable DATABASE_URL"),
        ({"DATABASE_URL_FILE": "url"}, "comes from the file that the environment variable DATABASE_URL_FILE names"),
        ({"INGEST_CONFIG": "settings.toml"}, "DATABASE_URL comes from the file settings.toml, which INGEST_CONFIG"),
    ):
        done = run("dead", "list", **environ)
        assert done.exit_code == 69
        assert words in done.stderr.splitlines()[-1]
        assert words in json.loads(run("status", "--output", "json", **environ).stdout)["faults"]["database"]
        found = json.loads(run("doctor", "--output", "json", **environ).stdout)
        assert [words in each["finding"] for each in found if each["check"] == "database"] == [True]


def test_a_default_that_nobody_answers_says_that_nothing_is_set_and_no_stack_runs(here: Path) -> None:
    """With or without a folder `.local`; the broker's address as the database's."""
    faults = json.loads(run("status", "--output", "json", INGEST_STATE="gone").stdout)["faults"]
    for part, name in (("broker", "AMQP_URL"), ("database", "DATABASE_URL")):
        # Somebody's own servers may answer at the default addresses.
        if part in faults:
            words = f"{name} is the default: nothing sets it, and no local stack runs in gone"
            assert faults[part].endswith(words)


def test_what_the_shell_still_has_set_is_named_as_the_cause(stack: StateFolder, here: Path) -> None:
    """A stack runs and the address is another's: the variables to unset, the settings' file, a state folder that is
    elsewhere; where the addresses are the stack's own nothing is blamed."""
    left = {"AMQP_URL": AMQP + "2", "DATABASE_URL": DATABASE + "2"}
    runs = "; the local stack that runs in .local has another: "
    (here / "settings.toml").write_text(f'database_url = "{DATABASE}2"\n')
    for environ, cause in (
        (left, "`unset AMQP_URL DATABASE_URL` to use it"),
        (left | {"INGEST_STATE": "old"}, "`unset AMQP_URL DATABASE_URL INGEST_STATE` to use it"),
        ({"DATABASE_URL": DATABASE + "2"}, "`unset DATABASE_URL` to use it"),
        ({"INGEST_CONFIG": "settings.toml"}, "take database_url out of the file settings.toml to use it"),
    ):
        assert run("dead", "list", **environ).stderr.endswith(f"{runs}{cause}\n")
    assert runs not in run("dead", "list", AMQP_URL=AMQP, DATABASE_URL=DATABASE).stderr
    assert runs not in run("dead", "list").stderr


def test_a_process_that_stays_keeps_to_what_it_found(stack: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the stack has stopped, its settings read again are still the stack's, and its children's too."""
    for name, value in (("AMQP_URL", ""), ("DATABASE_URL", "")):
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name)
    from ingest.cli.options import settings_from
    from ingest.cli.servers import staying

    staying(stack.folder, INGEST_LISTEN="127.0.0.1:0")
    stack.release()
    assert (settings_from().amqp_url, settings_from().database_url) == (AMQP, DATABASE)
