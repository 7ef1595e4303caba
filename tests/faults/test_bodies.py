"""Bodies made to break something, and bodies too large: S25, S26."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from fuzz import Fuzz

from consumers.broker.probe import probing
from consumers.broker.publisher import largest_message
from ingest.soak.ledger import digest
from ingest.soak.senders import Load, Sender
from ingest.soak.system import children
from ingest.soak.workload import Sending
from schemas.message import Message
from schemas.settings import Settings
from schemas.validation.judge import Candidate, Judge

FIXTURES = Path(__file__).parent.parent / "fixtures"
MB = 1024 * 1024
JUDGE = Judge.from_settings(Settings())


def good_bodies() -> list[bytes]:
    lines = (FIXTURES / "actions.jsonl").read_text(encoding="utf-8").splitlines()
    captured = [base64.b64decode(json.loads(line)["body_base64"]) for line in lines]
    return [*captured, (FIXTURES / "example_action.json").read_bytes()]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("count", [3_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_every_body_ends_in_exactly_one_place(system, ledger, count):
    """S25: whatever the bytes, a body becomes a row, a skip or a letter, or is refused 4xx; no worker dies, no 5xx."""
    supervisor = system.started()
    pids = set(children(supervisor.pid))
    good = good_bodies()
    seen = []

    def note(sending, response):
        seen.append((sending, response.status, response.headers.get("location", "")))

    http = [Sender("201", system.url(), Fuzz(seed, good).scripts(count // 12), seen=note) for seed in range(8)]
    amqp = [Sender("amqp", system.amqp_url, Fuzz(9, good).scripts(count // 3))]
    with Load(ledger, [*http, *amqp]) as load:
        load.join(2700)
    account = system.settle(ledger)
    assert set(children(supervisor.pid)) == pids, "no worker died"
    supervisor.stop()
    print(f"\n{account}")
    answers = Counter(ledger.answers)
    assert not [name for name in answers if not re.fullmatch(r"[24][0-9][0-9]|confirmed", name)], answers
    with psycopg.connect(system.database_url) as connection:
        rows = {str(row[0]) for row in connection.execute("SELECT id FROM actions")}
        letters = {digest(row[0]) for row in connection.execute("SELECT payload FROM dead_letters")}
    for sending, status, location in seen:
        assert _ended(sending, status, location, rows, letters), (sending.body[:200], status, location)
    handled = Counter()
    for line in system.log("consumers"):
        if line["event"] == "batch committed":
            handled.update({name: line[name] for name in ("stored", "duplicate", "dead", "conflict", "during_run")
                            if name in line})  # fmt: skip
    refused_at_the_door = sum(answers[str(status)] for status in (404, 405, 411, 414)) + _door(seen, letters)
    assert sum(handled.values()) == sum(answers.values()) - refused_at_the_door, (handled, answers)
    assert len(rows) == handled["stored"]


def _ended(sending, status, location, rows, letters) -> bool:
    row = location.rpartition("/")[2] in rows if status == 201 else False
    letter = digest(sending.body) in letters
    if status == 201:
        return row
    if status == 200:
        return not letter
    if status == 202:
        # Not judged within the wait, on a machine that has other things to do.
        return letter or _id(sending) in rows
    # 413 and 415 may be the door's own word: then nothing was queued, and nothing kept.
    return letter or status in (413, 415)


def _id(sending) -> str:
    """The id under which a body is stored, if it can be."""
    encoding = "gzip" if sending.headers else None
    judged = JUDGE(Message("action", sending.body, "http", content_encoding=encoding))
    return judged.row.id if isinstance(judged, Candidate) else ""


def _door(seen, letters) -> int:
    return sum(1 for sending, status, _ in seen if status in (413, 415) and digest(sending.body) not in letters)


def test_what_is_too_large_is_refused_without_being_held(patient, ledger, workload):
    """S26: 17 MiB on the wire and 300 MB inflated are 413 or a letter, and cost no process twice the limit."""
    shim = patient.shim()
    supervisor = patient.consumers(1)
    patient.ready()
    bomb = gzip.compress(bytes(300 * MB), 9, mtime=0)
    large = b'{"a":"' + b"x" * (17 * MB) + b'"}'
    statuses = {}

    def note(sending, response):
        statuses[sending.key[1]] = response.status

    doors = (("201", patient.url()), ("amqp", patient.amqp_url))
    warm = [Sender(door, url, workload.actions(20)) for door, url in doors]
    with Load(ledger, warm) as load:
        load.join()
    workers = children(supervisor.pid)
    before = [_peak(pid) for pid in (shim.pid, *workers)]
    gzipped = {"Content-Encoding": "gzip"}
    http = [
        Sending(("letter", "large"), "/messages", large, "letter"),
        Sending(("letter", "bomb"), "/messages", bomb, "letter", headers=gzipped),
    ]
    for sending in http:
        with Load(ledger, [Sender("201", patient.url(), iter([(sending,)]), seen=note)]) as load:
            load.join()
    growth = [_peak(pid) - was for pid, was in zip((shim.pid, *workers), before, strict=True)]
    print("growth of shim and workers, MB:", [each // MB for each in growth])
    assert statuses == {"large": 413, "bomb": 413}
    assert growth[0] < 2 * 2 * MB + 4 * MB, "the shim holds no more than its limit of the body"
    assert max(growth[1:]) < 2 * 16 * MB + 8 * MB, "a worker inflates no more than its limit"
    amqp = [
        Sending(("letter", "bomb, AMQP"), "", bomb, "letter", headers=gzipped),
    ]
    with probing(patient.amqp_url, heartbeat=30) as probe:
        if largest_message(probe.product()[1]) >= len(large):
            amqp.append(Sending(("letter", "large, AMQP"), "", large, "letter"))
    with Load(ledger, [Sender("amqp", patient.amqp_url, iter([(each,) for each in amqp]))]) as load:
        load.join()
    account = patient.settle(ledger, supervisor)
    print(account)
    assert account.holds
    with psycopg.connect(patient.database_url) as connection:
        reasons = dict(connection.execute("SELECT reason, count(*) FROM dead_letters GROUP BY reason").fetchall())
    assert reasons == {"too_large": 1 + len(amqp)}


def _peak(pid) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
