"""What runs failed of, worded without values; and which actions bear on a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.lookup.actions import bears_on
from ingest.lookup.causes import UNTOLD, grouped, told, without_values

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no file /etc/a/b.conf", "no file /var/c"),
        ("package 'nginx' not found", "package 'apache2' not found"),
        ("got 404 of https://a.example/x?y", "got 500 of https://b.example"),
        ("run 562c4230-1569-4003-a81f-8c0100231d65 died\nat a", "run 11111111-1569-4003-a81f-8c0100231d65 died\nat b"),
        ("#<Object:0x0000abcd>", "#<Object:0x00ff>"),
        ("version 1.2.3 wanted", "version 10.0 wanted"),
    ],
)
def test_messages_that_differ_in_values_are_one_cause(one: str, other: str) -> None:
    """Paths, names in quotes, URLs, ids, numbers; and only the first line counts."""
    assert without_values(one) == without_values(other)


@pytest.mark.parametrize(("one", "other"), [("no file", "no host"), ("can't write", "can't read"), ("", "x")])
def test_messages_that_say_something_else_are_two(one: str, other: str) -> None:
    """An apostrophe opens no quote that would swallow the rest."""
    assert without_values(one) != without_values(other)


@pytest.mark.parametrize(
    "data", [None, "", "{}", "[]", "{", '{"exception": 1}', '{"exception": {"class": 1, "message": null}}', "[" * 9999]
)
def test_a_run_that_tells_no_exception_is_a_cause_too(data: str | None) -> None:
    """Whatever its data is."""
    assert told(data) == ("", UNTOLD)


def test_a_cause_counts_its_runs_and_nodes_and_has_its_newest_run_as_example() -> None:
    """The most frequent is first."""
    data = '{"exception": {"class": "E", "message": "in /a\\u0000"}}'
    rows = [
        {
            "run_id": str(n),
            "organization": "o",
            "node_name": f"n{n % 2}",
            "start_time": NOW - n * timedelta(1),
            "data": data,
        }
        for n in range(3)
    ]
    rows.append(rows[0] | {"run_id": "9", "data": "{}"})
    first, second = grouped(rows)
    assert (first.runs, len(first.nodes), first.run_id, first.first, first.last) == (
        3,
        2,
        "0",
        rows[2]["start_time"],
        NOW,
    )
    assert (second.runs, second.run_id) == (1, "9")


RUN = {
    "node_name": "web1",
    "policy_name": "web",
    "policy_group": None,
    "run_list": '["recipe[apache2::default@1.0.0]","role[base]"]',
    "expanded_run_list": '{"id": "x", "run_list": [{"type": "recipe", "name": "ntp::client", "version": null}]}',
}


@pytest.mark.parametrize(
    ("type", "name", "parent_type", "parent", "bears"),
    [
        ("node", "web1", None, None, True),
        ("node", "web2", None, None, False),
        ("version", "1.0.0", "cookbook", "apache2", True),
        ("cookbook", "ntp", None, None, True),
        ("role", "base", None, None, True),
        ("role", "apache2x", None, None, False),
        ("policy", "web", None, None, True),
        ("bag", "base", None, None, False),
    ],
)
def test_an_action_bears_on_a_run_that_is_made_of_what_it_changed(
    type: str, name: str, parent_type: str | None, parent: str | None, bears: bool
) -> None:
    """Its node, cookbooks and roles of its run list as resolved, its policy."""
    action: dict[str, Any] = {
        "entity_type": type,
        "entity_name": name,
        "parent_type": parent_type,
        "parent_name": parent,
    }
    assert bears_on(action, RUN) is bears
