"""One public name has one meaning, and the words of a label are listed once."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from rooms import FILES, ROOT, parsed

from consumers.supervisor.metrics import Metrics
from ingest.http.outcome import HOPELESS, Refusal
from ingest.shim.metrics import ShimMetrics
from schemas import doors, labels
from schemas.verdict import OUTCOMES

LISTS = {
    **{name: words for name, words in vars(labels).items() if name.isupper() and isinstance(words, tuple)},
    "HELD_UP": tuple(labels.HELD_UP),
    "OUTCOMES": OUTCOMES,
    "doors": doors.WORDS,
}
HOMES = {"schemas/labels.py", "schemas/verdict.py", "schemas/doors.py"}
"""Where lists are made."""


def public(path: Path) -> Iterator[tuple[str, str]]:
    """(name, what it is) of each public class and alias of a type at a module's top."""
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, f"class in {path.relative_to(ROOT)}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, ast.unparse(node.value)


def test_one_public_name_of_a_type_has_one_meaning() -> None:
    """Whoever reads `Ledger` in a log, a traceback or a test knows which one it is; aliases alike are no second one."""
    meanings: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for name, meaning in public(path):
            if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
                meanings[name].add(meaning)
    assert {name: sorted(found) for name, found in meanings.items() if len(found) > 1} == {}


@functools.cache
def spelled(path: Path) -> list[tuple[int, set[str]]]:
    """Each line that lists texts, and the texts: a tuple, a list, a set, a mapping's keys, a Literal."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            each = node.elts
        elif isinstance(node, ast.Dict):
            each = [key for key in node.keys if key is not None]
        else:
            continue
        words = {word.value for word in each if isinstance(word, ast.Constant) and isinstance(word.value, str)}
        if len(words) > 1:
            found.append((node.lineno, words))
    return found


@pytest.mark.parametrize("label", sorted(LISTS))
def test_no_room_spells_the_words_of_a_label_again(label: str) -> None:
    """A list with more than half of them is a second list, which the next word will be missing in."""
    listed = set(LISTS[label])
    again = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        if str(path.relative_to(ROOT)) not in HOMES
        for line, words in spelled(path)
        if 2 * len(words & listed) > len(listed)
    ]
    assert again == []


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("dead_letters", "state", labels.LETTER_STATES),
        ("dead_letters", "stage", labels.STAGES),
        ("acknowledgements", "outcome", labels.ACKNOWLEDGEMENTS),
        ("drift", "difference", labels.DIFFERENCES),
        ("dead_letter_replays", "state", labels.REPLAY_STATES[:4]),
        ("dead_letter_replays", "wanted", labels.REPLAY_WISHES),
        ("dead_letter_replays", "accepts", labels.REPLAY_ACCEPTS),
    ],
)
def test_a_column_takes_the_words_that_are_listed(table: str, column: str, words: tuple[str, ...]) -> None:
    """A word that the list has and the CHECK has not would be a batch refused."""
    schema = (ROOT / "schemas" / "schema.sql").read_text()
    (body,) = re.findall(rf"CREATE TABLE {table} \((.*?)\n\)", schema, re.S)
    (check,) = re.findall(rf"\b{column} IN \(([^)]*)\)", body)
    assert tuple(re.findall(r"'(\w+)'", check)) == words


def values(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Label -> its values before anything has been counted, where some are shown."""
    found: dict[str, set[str]] = defaultdict(set)
    for metric in registry.collect():
        for sample in metric.samples:
            for label, value in sample.labels.items():
                found[label].add(value)
    return found


def test_each_word_of_a_metric_stands_at_zero_before_it_is_counted() -> None:
    """A rate needs a zero to rise from: a list that a metric does not read would be missing here."""
    seen = values(Metrics("1").registry)
    assert {label: seen[label] for label in ("outcome", "trigger", "sqlstate_class", "doing", "lane", "cause")} == {
        "outcome": set(OUTCOMES),
        "trigger": set(labels.TRIGGERS),
        "sqlstate_class": set(labels.SQLSTATE_CLASSES),
        "doing": set(labels.DOINGS),
        "lane": set(labels.LANES),
        "cause": set(labels.DEATH_CAUSES),
    }
    assert values(ShimMetrics("1").registry)["result"] == {*labels.PUBLISH_RESULTS, *labels.SPOOL_RESULTS}


def test_what_becomes_of_a_publish_is_a_listed_word() -> None:
    """The results are those of publishing, and the refusals that come after it; the others are `refused`."""
    before = {Refusal.NOT_CONNECTED, Refusal.OVERLOADED, *HOPELESS}
    after = {refusal.value for refusal in Refusal if refusal not in before}
    of_spool = {refusal.value for refusal in (Refusal.SPOOL_FULL, Refusal.SPOOL_FAILED, Refusal.SPOOL_SLOW)}
    assert set(labels.PUBLISH_RESULTS) == {"confirmed", "drained", "refused"} | after - of_spool
    assert set(labels.SPOOL_RESULTS) == {"spooled"} | of_spool


def test_each_doing_is_done_somewhere() -> None:
    """No word is listed that nobody says."""
    worker = "".join(path.read_text() for path in FILES if path.is_relative_to(ROOT / "consumers" / "worker"))
    assert [doing for doing in labels.DOINGS if f'"{doing}"' not in worker] == []
