"""What operators look up of runs, actions and nodes, on the command line, in a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from ingest.cli import main

HERE = Path(__file__).parent
RUN = "00000000-2222-4000-8000-000000000002"

Look = Callable[..., Result]


@pytest.fixture(scope="module")
def look(databases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """`chef-ingest WORDS` over seeded tables."""
    url = databases.create(migrated=True)
    with psycopg.connect(url) as connection:
        for name in ("reads_seed.sql", "console_seed.sql"):
            connection.execute((HERE / name).read_bytes())
    env = {"DATABASE_URL": url, "INGEST_STATE": str(tmp_path_factory.mktemp("state"))}
    yield lambda *words: CliRunner().invoke(main, words, env=env)
    databases.drop(url)


def rows(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def pages(look: Look, *words: str) -> Iterator[list[dict[str, Any]]]:
    """Every page, by the word at the end of the one before."""
    after: tuple[str, ...] = ()
    while True:
        done = look(*words, *after, "--output", "ndjson")
        yield rows(done)
        said = done.stderr.strip()
        if not said:
            return
        after = tuple(said.removeprefix("more: ").split())
        assert after[0] == "--after"


@pytest.mark.parametrize(
    ("words", "key", "count"),
    [
        (("runs", "list", "--since", "2025-11-01", "--until", "2025-12-01"), "run_id", 43),
        (("runs", "list", "--since", "2025-11-01", "--until", "2025-12-01", "--organization", "umbrella"), "run_id", 1),
        (("runs", "list", "--since", "2025-11-01", "--until", "2025-12-01", "--node", "web1"), "run_id", 23),
        (("runs", "list", "--status", "failure"), "run_id", 13),
        (("actions", "list", "--since", "2025-01-01", "--until", "2026-01-01"), "id", 62),
        (("actions", "list"), "id", 4),
        (("nodes", "list"), "name", 13),
    ],
)
def test_pages_put_together_are_the_whole(look: Look, words: tuple[str, ...], key: str, count: int) -> None:
    """Newest first, none twice, none missed, though many are of one time; of all organizations or of one."""
    found = [row for page in pages(look, *words, "--limit", "7") for row in page]
    assert len(found) == len({(row.get("organization"), row[key]) for row in found}) == count
    assert [each for page in pages(look, *words, "--limit", "1000") for each in page] == found
    times = [row.get("start_time") if key == "run_id" else row.get("recorded_at", row.get("seen")) for row in found]
    assert times == sorted(times, reverse=True)


def test_a_run_without_an_end_is_aborted_after_a_day(look: Look) -> None:
    """As Reporting says it; one that has just begun is started."""
    window = ("--since", "2025-11-01", "--output", "ndjson")
    assert [row["run_id"][:8] for row in rows(look("runs", "list", "--status", "aborted", *window))] == [
        "33333333", "11111111",
    ]  # fmt: skip
    assert [row["run_id"][:8] for row in rows(look("runs", "list", "--status", "started", *window))] == ["22222222"]


def test_a_run_is_shown_with_its_resources(look: Look) -> None:
    """By its id in either case."""
    [run] = rows(look("runs", "show", RUN.upper(), "--output", "ndjson"))
    assert (run["run_id"], run["status"], run["organization"]) == (RUN, "failure", "acme")
    assert [(each["type"], each["status"]) for each in run["resources"]] == [("template", "failed")]
    assert "Errno" in look("runs", "show", "00000000-2222-4000-8000-000000000004").stdout


@pytest.mark.parametrize("words", [("runs", "show", "x"), ("runs", "show", RUN[:-1] + "f"), ("actions", "show", RUN)])
def test_what_is_not_there_is_said_and_is_exit_code_1(look: Look, words: tuple[str, ...]) -> None:
    """With the command that lists what is."""
    done = look(*words)
    assert done.exit_code == 1
    assert f"`chef-ingest {words[0]} list`" in done.stderr


def test_failures_are_grouped_by_what_they_are_worded_without_values(look: Look) -> None:
    """Paths, numbers and what stands in quotes make no cause of their own."""
    causes = {row["exception"]: row for row in rows(look("runs", "errors", "--output", "ndjson"))}
    shell = causes["Mixlib::ShellOut::ShellCommandFailed"]
    assert (shell["runs"], shell["nodes"], shell["organizations"]) == (9, 6, 2)
    assert shell["text"] == "Expected process to exit with [N], but received '…'"
    assert causes["Errno::ENOENT"]["text"] == "No such file or directory @ rb_sysopen - PATH"
    assert (causes["Errno::ENOENT"]["runs"], causes["<b>"]["runs"]) == (3, 1)


def test_an_action_is_shown_with_the_run_that_it_belongs_to(look: Look) -> None:
    """Where that is known; without one it has none."""
    [action] = rows(look("actions", "show", "AAAA0000-0000-4000-8000-000000000003", "--output", "ndjson"))
    assert (action["entity_name"], action["run_id"]) == ("db2", RUN)
    [action] = rows(look("actions", "show", "aaaa0000-0000-4000-8000-000000000002", "--output", "ndjson"))
    assert (action["run_id"], json.loads(action["data"])) == (None, {"x": "<script>"})


def test_actions_are_found_by_what_they_changed_and_by_whom(look: Look) -> None:
    """By a name or a parent's name, a type, a task, a requestor, a run."""
    for words, who in (
        (("--entity", "apache2"), ["rarity"]),
        (("--type", "bag"), ["spike"]),
        (("--task", "create"), ["pivotal", "rarity"]),
        (("--requestor", "spike", "--organization", "acme"), ["spike"]),
        (("--run-id", RUN), ["db2"]),
    ):
        found = rows(look("actions", "list", *words, "--output", "ndjson"))
        assert [row["requestor_name"] for row in found] == who, words


def test_nodes_that_were_not_heard_of_are_missing(look: Look) -> None:
    """Those that a data collector told of, and those that only reported runs; none is there twice."""
    missing = rows(look("nodes", "list", "--missing", "24h", "--output", "ndjson"))
    assert [row["name"] for row in missing] == ["gone <b>"]
    assert missing[0]["status"] == "aborted"
    failed = rows(look("nodes", "list", "--status", "failure", "--organization", "umbrella", "--output", "ndjson"))
    assert {row["name"] for row in failed} == {"db0", "db1", "db2"}


def test_what_matches_nothing_says_so_and_is_exit_code_1(look: Look) -> None:
    """A script sees it."""
    done = look("runs", "list", "--organization", "nobody")
    assert (done.exit_code, "nothing matches" in done.stderr) == (1, True)


@pytest.mark.parametrize("option", [("--after", "x"), ("--since", "yesterday"), ("--limit", "0"), ("--status", "well")])
def test_what_makes_no_sense_is_wrong_usage(look: Look, option: tuple[str, str]) -> None:
    """Exit code 2, before anything is asked."""
    assert look("runs", "list", *option).exit_code == 2
