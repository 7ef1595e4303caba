"""The worker's small pure pieces: SQL by name, COPY text, whose fault an error is, why the broker gave up."""

from __future__ import annotations

import re

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.broker.deaths import broker_death
from consumers.database import statements
from consumers.database.copy import copy_text
from consumers.database.errors import blame
from consumers.runtime.failpoints import Failpoint, from_environment
from consumers.supervisor.supervisor import worker_command
from consumers.worker.committer import backoff
from schemas.settings import ConfigError


def test_statements_are_found_by_name_without_their_comments() -> None:
    """A statement is its lines, without comment lines and the closing semicolon."""
    parsed = statements.parse("-- file\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n")
    assert dict(parsed) == {"one": "SELECT 1", "two": "SELECT\n  2"}


def test_a_statement_named_twice_is_refused() -> None:
    """One name, one statement."""
    with pytest.raises(ValueError, match="named twice"):
        statements.parse("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n")


def uncopied(line: bytes) -> list[str | None]:
    """What PostgreSQL reads from a line of COPY text, by its documentation."""
    names = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    fields = line.decode().removesuffix("\n").split("\t")
    return [None if f == "\\N" else re.sub(r"\\(.)", lambda m: names[m[1]], f) for f in fields]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["\\N", "\\.", "\\", "\t"])


@given(st.lists(st.one_of(texts, st.none()), min_size=1, max_size=6))
def test_copy_text_reads_back_as_the_row(row: list[str | None]) -> None:
    """Tabs, line breaks, backslashes and NULL survive COPY's text format."""
    assert uncopied(copy_text([row])) == row


@pytest.mark.parametrize(
    ("sqlstate", "whose"),
    [
        ("08006", "outage"), ("53300", "outage"), ("53100", "outage"), ("57P01", "outage"), ("57014", "outage"),
        ("58030", "outage"), ("40001", "outage"), ("40P01", "outage"), ("55P03", "outage"), ("25006", "outage"),
        ("22021", "row"), ("22008", "row"), ("23514", "row"), ("54000", "row"), ("P0001", "row"),
        ("26000", "outage"), ("42P05", "outage"), ("55000", "outage"), ("08P01", "outage"), ("XX000", "outage"),
        ("42P01", "configuration"), ("3F000", "configuration"), ("28P01", "configuration"), ("3D000", "configuration"),
    ],
)  # fmt: skip
def test_sqlstate_says_whose_fault_an_error_is(sqlstate: str, whose: str) -> None:
    """Outages are waited out, rows are set aside, and the rest is for a person."""
    error = psycopg.errors.lookup(sqlstate)() if sqlstate != "53300" else psycopg.errors.TooManyConnections()
    assert error.sqlstate == sqlstate
    assert blame(error) == whose


def test_a_broken_connection_is_an_outage_and_a_value_psycopg_refuses_is_the_rows_fault() -> None:
    """Errors without a SQLSTATE are told apart by their class."""
    assert blame(psycopg.OperationalError("server closed the connection")) == "outage"
    assert blame(psycopg.DataError("cannot contain NUL")) == "row"


@pytest.mark.parametrize(
    ("reason", "stage", "words"),
    [("delivery_limit", "crash", "died"), ("maxlen", "broker", "good message"), ("expired", "broker", "good message")],
)
def test_the_brokers_reason_is_told_in_words(reason: str, stage: str, words: str) -> None:
    """A letter off the dead letter queue says what the broker did, and whether the message is good."""
    verdict = broker_death({"x-death": [{"reason": reason, "queue": "ingest.actions", "count": 1}]})
    assert (verdict.stage, verdict.reason) == (stage, reason)
    assert words in verdict.details["message"]


@pytest.mark.parametrize("headers", [{}, {"x-death": []}, {"x-death": "?"}, {"x-death": [7]}])
def test_any_x_death_gives_a_verdict(headers: dict[str, object]) -> None:
    """What stands in a header is never trusted to have its documented form."""
    assert broker_death(headers).reason == "unknown"


def test_a_failpoint_needs_the_test_hooks_and_a_known_moment() -> None:
    """Production settings can't kill a worker on purpose."""
    assert from_environment({}) == Failpoint()
    hooks = {"INGEST_TEST_HOOKS": "1"}
    assert from_environment(hooks | {"INGEST_FAILPOINT": "judge:boom"}) == Failpoint("judge", b"boom")
    with pytest.raises(ConfigError, match="tests only"):
        from_environment({"INGEST_FAILPOINT": "judge"})
    with pytest.raises(ConfigError, match="none of"):
        from_environment(hooks | {"INGEST_FAILPOINT": "nowhere"})


@given(st.integers(0, 100_000))
def test_backoff_is_bounded_and_never_zero(attempt: int) -> None:
    """However often it failed, the next try comes, and not at once."""
    assert 0.05 <= backoff(attempt) <= 10


def test_a_workers_command_line_holds_no_secret() -> None:
    """URLs with passwords travel in the environment, where `ps` does not show them."""
    assert "://" not in " ".join(worker_command("main", 3))
