"""Finds, by reading the source, every code that an answer or a dead letter can carry."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from consumers.broker import deaths
from consumers.store.letter import Reason
from consumers.worker.intake import FAULT
from ingest.http.answers import refused
from ingest.http.outcome import Refusal
from schemas.verdict import FOREIGN, Conflict, UnknownRun

ROOT = Path(__file__).parents[1]
REASON_AT = {"Invalid": 1, "_refuse": 0, "Fault": 0}
"""Calls that name a reason, and at which argument."""
STAGE_OF = {"_refuse": "decode", "Fault": "meaning"}


def calls(*folders: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call in these folders, with the last part of its function's name."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr, node


def reasons() -> set[tuple[str, str]]:
    """(stage, reason) of every dead letter there can be, as far as the reason is a constant."""
    found = {(deaths_stage(code), code) for code in (*deaths._TEXTS, "unknown")}
    for verdict in (Conflict({}), UnknownRun("", "")):
        reason = Reason.of(verdict)
        found.add((reason.stage, reason.code))
    found |= {("crash", FAULT), ("meaning", FOREIGN)}
    for name, call in calls("schemas", "consumers"):
        at = REASON_AT.get(name)
        if at is None or len(call.args) <= at or not isinstance(call.args[at], ast.Constant):
            continue
        stage = STAGE_OF.get(name) or ast.literal_eval(call.args[0])
        found.add((stage, ast.literal_eval(call.args[at])))
    return found


def deaths_stage(code: str) -> str:
    return deaths.broker_death({"x-death": [{"reason": code}]}).stage


def answers() -> set[tuple[int, str]]:
    """(status, code) of every answer that says no, but for a message's own faults."""
    found = {(refused(refusal).status, refusal.value) for refusal in Refusal}
    for name, call in calls("ingest"):
        code = next((word.value for word in call.keywords if word.arg == "code"), None)
        if name == "fault" and isinstance(code, ast.Constant) and isinstance(call.args[0], ast.Constant):
            found.add((call.args[0].value, str(code.value)))
    return found
