"""The selector language: one condition for every command, and times as people write them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters.selector import Selector, moment, spellings
from schemas.labels import LETTER_STATES

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
TEXTS = st.lists(st.text(max_size=5), max_size=3).map(tuple)
TIMES = st.none() | st.datetimes(timezones=st.just(UTC))


@given(TEXTS, st.lists(st.integers(1, 2**62), max_size=3).map(tuple), TIMES, TIMES, st.none() | st.integers(1, 9))
def test_a_selector_survives_its_json(
    reasons: tuple[str, ...], ids: tuple[int, ...], since: datetime | None, until: datetime | None, limit: int | None
) -> None:
    """An interrupted replay goes on with exactly the letters that were asked for."""
    selector = Selector(reasons=reasons, ids=ids, since=since, until=until, limit=limit)
    assert Selector.from_json(json.loads(selector.to_json())) == selector


@given(TEXTS, TEXTS)
def test_every_parameter_of_a_condition_is_named_in_it(reasons: tuple[str, ...], nodes: tuple[str, ...]) -> None:
    """No value is ever part of the SQL text."""
    where, values = Selector(reasons=reasons, nodes=nodes, since=NOW, senders=nodes, text="x", after=7).where()
    assert all(f"%({name})s" in where for name in values)
    # A text is looked for in what was received, and in what it was edited to.
    assert set(re.findall(r"%\(([a-z_]+)\)s", where)) == set(values)


@given(st.text(max_size=20), st.booleans())
def test_a_text_is_found_however_json_spells_it(text: str, ascii_only: bool) -> None:
    """A sender may escape what is not ASCII, in capitals or not, and slashes; and nothing else is found by it."""
    spelt = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    for written in (spelt, spelt.replace("/", "\\/"), text):
        assert written.encode("utf-8", "surrogateescape") in spellings(text)
    assert {json.loads(f'"{each.decode()}"') for each in spellings(text)[1:]} <= {text}


def test_words_of_a_selector_are_those_of_its_options() -> None:
    """Who is told that nothing matches reads what was asked for."""
    selector = Selector(entities=("app1",), senders=("lab", "7"), text="apache2")
    assert selector.in_words() == "entity app1, sender lab or 7, text apache2"


def test_an_empty_selector_is_every_letter_and_states_are_a_default_only() -> None:
    """A command's own states hold where none are asked for."""
    assert Selector().where() == ("true", {})
    assert Selector().within("open").states == ("open",)
    assert Selector(states=("parked",)).within("open").states == ("parked",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-11-22T05:00:00Z", NOW),
        ("2026-11-22T06:00:00+01:00", NOW),
        ("2026-11-22", NOW - timedelta(hours=5)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: datetime) -> None:
    """Ago, or ISO 8601, UTC where no zone is named."""
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "h",
        "2h\n",
        "٢h",
        "-2h",
        "2 h",
        "yesterday",
        "999999w",
        "2026-13-01",
        "2026-11-22T24:00:00",
        "2026-W48-4",
    ],
)
def test_what_is_no_time_is_refused_in_words(text: str) -> None:
    """Never a wrong time, and always what to give instead."""
    with pytest.raises(ValueError, match="is no time: give"):
        moment(text, NOW)


def test_the_states_of_the_selector_are_those_of_the_table() -> None:
    """A letter in a state that can't be asked for would be hidden."""
    from consumers.database.migrations import available

    listed = ", ".join(f"'{state}'" for state in LETTER_STATES)
    assert f"CHECK (state IN ({listed}))" in available()["0001_tables"]
