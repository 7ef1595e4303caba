"""A verdict's fate is one table, and whatever tells of a message reads it there."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties
from rooms import FILES, ROOT, parsed
from structlog.testing import capture_logs

from consumers.dead_letters.dry_run import forecast
from consumers.delivery import Batch, Committed, Delivery, Judged
from consumers.ledger.counts import acknowledgements, tallies
from consumers.runtime.failpoints import Failpoint
from consumers.store.letter import Reason
from consumers.telemetry.reporter import Reporter
from consumers.telemetry.reports import Report
from consumers.worker.guard import FaultGuard
from consumers.worker.pipeline import Pipeline
from schemas.message import Message
from schemas.verdict import (
    FATES,
    OUTCOMES,
    Conflict,
    Created,
    DuringRun,
    Fate,
    Invalid,
    Pong,
    Unkept,
    UnknownRun,
    Verdict,
    WaitsForRun,
    becomes_letter,
    is_parked,
    is_told,
    without_letter,
)

EACH: tuple[Verdict, ...] = (
    Created("/a"), Created("/a", True), Created("/a", merged=True), DuringRun("run_id"), Conflict({"id": "differs"}),
    Invalid("schema", "schema", {"id": "is missing"}), UnknownRun("r", "no run"), WaitsForRun("r", "no run"), Pong(),
    Unkept("crash", "exception", {"message": "a fault"}),
    without_letter(Invalid("schema", "schema", {"id": "is missing"}), "no letter kept"),
)  # fmt: skip
batches = st.lists(st.sampled_from(EACH), min_size=1, max_size=20)


def judged(door: str = "http", deliveries: int = 0) -> Judged:
    headers = {"x-delivery-count": deliveries}
    properties = BasicProperties(timestamp=99)
    delivery = Delivery(
        Message("action", b"{}", door),
        1,
        1,
        "q",
        "",
        "k",
        "amq.x",
        "c",
        headers,
        properties,  # type: ignore[arg-type]
    )
    return Judged(delivery, Pong())


def settled(said: list[Verdict]) -> tuple[dict[str, Any], dict[str, int], list[Verdict], int]:
    """What the loop logs, reports, answers and delays of a batch with these verdicts."""
    reports: list[Report] = []
    answered: list[Verdict] = []
    delayed: list[Delivery] = []
    outbox = SimpleNamespace(
        reply=lambda pairs: [answered.extend(verdict for _, verdict in pairs)],
        listening=lambda _: True,
        delay=delayed.append,
        park=lambda delivery, why: None,
    )
    reporter = Reporter("main", lambda report: reports.append(report) is None)
    parts: dict[str, Any] = {each.name: None for each in fields(Pipeline) if each.init}
    parts |= {
        "source": SimpleNamespace(acknowledge=lambda *_, **__: None),
        "outbox": outbox,
        "failpoint": Failpoint(),
        "guard": FaultGuard(),
        "clock": lambda: 0.0,
        "wall": lambda: 100.0,
        "observe": reporter.observe,
    }
    batch = Batch(tuple(judged() for _ in said), 1, "idle")
    with capture_logs() as lines:
        Pipeline(**parts)._settle(Committed(batch, said, 0.1))
    outcomes = reports[0].outcomes if reports else {}
    [line] = [each for each in lines if each["event"] == "batch committed"]
    return line, outcomes, answered, len(delayed)


@given(batches)
def test_a_batch_is_told_in_the_same_words_by_log_and_metrics(said: list[Verdict]) -> None:
    """The log's counts are the metrics' counts, and a ping more."""
    line, outcomes, _, _ = settled(said)
    told = {word: count for word, count in line.items() if word in {fate.outcome for fate in FATES}}
    assert told.pop("ping", 0) == said.count(Pong())
    assert told == outcomes
    assert sum(told.values()) + said.count(Pong()) == line["messages"]


def test_a_run_end_that_only_waits_is_told_as_delayed() -> None:
    """It is no unknown run yet: not in the log, not in the metrics, and nobody is answered."""
    line, outcomes, answered, delayed = settled([WaitsForRun("r", "no run")])
    assert (line["delayed"], outcomes, answered, delayed) == (1, {"delayed": 1}, [], 1)
    assert not line.keys() & {"unknown_run", "dead"}


@given(batches)
def test_a_message_is_accounted_for_once(said: list[Verdict]) -> None:
    """A row, a tally, a letter, the delay queue or the one for the parked: one of them, and nothing else."""
    for each in said:
        fate = each.fate
        assert fate.row + fate.tallied + fate.letter + is_parked(each) + (not fate.ends) == fate.counted
        assert fate.letter == becomes_letter(each)
        if is_parked(each) or is_told(each):
            continue  # Nothing that a dry run could meet.
        assert fate.resolves == (forecast(each).passes is True)
        assert fate.letter == (forecast(each).passes is False)
    tallied = tallies(said)
    assert sum(tallied.values()) == sum(each.fate.tallied for each in said)
    assert tallied["during_run", "run_id"] == said.count(DuringRun("run_id"))
    assert tallied["duplicate", ""] == said.count(Created("/a", True))


@given(batches, st.integers(0, 2))
def test_the_ledger_takes_in_what_has_come_to_its_end(said: list[Verdict], deliveries: int) -> None:
    """Each once; one that left a row now can't have been counted before."""
    ended = [each for each in said if not isinstance(each, Pong | WaitsForRun)]
    counted = acknowledgements([judged("chef", deliveries) for _ in said], said)
    again = [each for each in ended if each != Created("/a")] if deliveries else []
    assert counted == Counter({("chef", "taken"): len(ended), ("chef", "redelivered"): len(again)})


def test_every_verdict_has_a_fate_and_every_fate_a_verdict() -> None:
    """The table has no line that nothing leads to, and no two for one outcome."""
    assert {each.fate for each in EACH} == set(FATES)
    assert {type(each) for each in EACH} == {*get_args(Verdict), WaitsForRun, Unkept}
    assert len({fate.outcome for fate in FATES}) == len(FATES)
    assert {fate.name for fate in FATES} == set(get_args(get_type_hints(Fate)["name"]))
    assert OUTCOMES == (
        "stored", "duplicate", "merged", "during_run", "conflict", "dead", "told", "parked", "delayed",
    )  # fmt: skip


@pytest.mark.parametrize("said", [each for each in EACH if each.fate.letter], ids=lambda each: each.code)
def test_a_letter_has_the_reason_of_its_verdict(said: Verdict) -> None:
    """Stage, code and details are the verdict's own; a code that says it all is the verdict's."""
    assert becomes_letter(said)
    reason = Reason.of(said)
    assert (reason.stage, reason.code, reason.details) == (said.stage, said.reason, said.details)
    assert said.reason in {said.code, "schema"}


VERDICTS = {each.__name__ for each in (*get_args(Verdict), WaitsForRun)} | {"Verdict", "Unstorable"}
MAY_ASK = {
    # Words each verdict for a client, with what only that verdict holds. So may any door, for its own clients.
    "ingest/http/answers.py": VERDICTS,
    # A ping's answer is a pong or it is not.
    "ingest/shim/readiness.py": {"Pong"},
    # Makes one verdict of another, and lets a ping through the transaction.
    "consumers/store/store.py": {"UnknownRun", "Pong"},
    # A candidate or why there is none: judging, before there is a fate.
    "schemas/validation/judge.py": {"Invalid"},
    "schemas/validation/decode.py": {"Invalid"},
    # A judgement that is no candidate keeps its own reason when storing it fails.
    "consumers/worker/guard.py": {"Invalid"},
    # A body that can be inflated or can't.
    "consumers/dead_letters/edit.py": {"Invalid"},
    "consumers/dead_letters/queries.py": {"Invalid"},
    "consumers/store/particulars.py": {"Invalid"},
}
"""Where code may ask which verdict it holds, and for which; whatever else it needs is in the table."""


def asked(tree: ast.AST) -> set[str]:
    """The verdicts that code tells apart, by isinstance, a match, `type(...) is` or a table of their own."""
    places: list[ast.AST] = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            places += node.args[1:]
        elif isinstance(node, ast.MatchClass):
            places.append(node.cls)
        elif isinstance(node, ast.Dict):
            places += [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Compare) and any(isinstance(each, ast.Is | ast.IsNot) for each in node.ops):
            places += node.comparators
        elif isinstance(node, ast.Attribute) and node.attr == "code" and isinstance(node.value, ast.Name):
            places.append(node.value)
    names = {node.id if isinstance(node, ast.Name) else node.attr
             for place in places for node in ast.walk(place) if isinstance(node, ast.Name | ast.Attribute)}  # fmt: skip
    return names & VERDICTS


def may_ask_any(path: Path) -> bool:
    return path == ROOT / "schemas/verdict.py" or path.is_relative_to(ROOT / "ingest/shim/doors")


def test_only_few_files_ask_which_verdict_it_is() -> None:
    """Everybody else reads the fate: a new verdict is a line in the table, not a search for chains."""
    found = {str(path.relative_to(ROOT)): asked(parsed(path)) for path in FILES if not may_ask_any(path)}
    over = {name: verdicts - MAY_ASK.get(name, set()) for name, verdicts in found.items()}
    assert not {name: verdicts for name, verdicts in over.items() if verdicts}
    unused = {name for name in MAY_ASK if not found.get(name)}
    assert not unused, "declared, but they no longer ask"


SETTLING = {"basic_ack", "basic_nack", "basic_reject"}


def test_one_function_settles() -> None:
    """What the broker is told of a delivery is said in one place."""
    saying = {
        (str(path.relative_to(ROOT)), function.name)
        for path in FILES
        for function in ast.walk(parsed(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(node, ast.Attribute) and node.attr in SETTLING for node in ast.walk(function))
    }
    assert len(saying) == 1, saying
    assert {path for path, _ in saying} == {"consumers/broker/settle.py"}
