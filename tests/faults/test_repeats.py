"""The same message again, another one under its id, and a run's messages in any order: S22, S23, S24."""

from __future__ import annotations

import random
from collections import defaultdict

import psycopg

from ingest.soak.senders import Load, Sender
from ingest.soak.workload import PROTOCOL, Sending

_RUN = """
SELECT organization, node_name, status, start_time, end_time, end_start_time, run_list, total_res_count,
       updated_res_count, data::text, end_extra::text, start_extra::text,
       (SELECT count(*) FROM run_resources r WHERE r.run_id = runs.run_id)
FROM runs WHERE run_id = %s
"""


def test_each_message_sent_ten_times_is_one_row_and_one_answer(patient, ledger, workload, holds):
    """S22: whatever door a message comes through and however often, it is one row, and every answer is the same."""
    supervisor = patient.started()
    answers = defaultdict(set)
    rng = random.Random(22)
    many = [workload.action() for _ in range(200)]

    def shuffled(times):
        order = many * times
        rng.shuffle(order)
        return iter([(each,) for each in order])

    def seen(sending, response):
        answers[sending.key].add((response.status, response.headers.get("location"), response.body))

    http = [Sender("201", patient.url(), shuffled(1), seen=seen) for _ in range(5)]
    amqp = [Sender("amqp", patient.amqp_url, shuffled(1)) for _ in range(5)]
    with Load(ledger, [*http, *amqp]) as load:
        load.join()
    account = holds(patient.settle(ledger, supervisor))
    assert account.stored == 200
    assert account.repeated == 9 * 200
    assert account.letters == 0
    assert {len(each) for each in answers.values()} == {1}
    assert {status for each in answers.values() for status, *_ in each} == {201}


def test_another_body_under_a_known_id_is_a_conflict_and_a_letter(patient, ledger, workload, holds):
    """S23: the first body under an id stays; each other one is answered 409 and kept with what differs."""
    supervisor = patient.started()
    first = [workload.action() for _ in range(40)]
    others = [workload.action(id=each.key[1]) for each in first]
    statuses = []

    def seen(_sending, response):
        statuses.append(response.status)

    for batch in (first, others):
        with Load(ledger, [Sender("201", patient.url(), iter([(each,) for each in batch]), seen=seen)]) as load:
            load.join()
    account = holds(patient.settle(ledger, supervisor))
    assert statuses == [201] * 40 + [409] * 40
    assert (account.stored, account.letters) == (40, 40)
    with psycopg.connect(patient.database_url) as connection:
        names = {row[0] for row in connection.execute("SELECT entity_name FROM actions")}
        letters = connection.execute(
            "SELECT reason, details ? 'entity_name' FROM (SELECT reason, details::jsonb AS details FROM dead_letters) l"
        ).fetchall()
    assert names == {each.mark for each in first}
    assert set(letters) == {("conflict", True)}


def test_a_runs_messages_in_any_order_give_the_same_row(system, ledger, workload, holds):
    """S24: an end before its start, a doubled end and a start after the end leave the row that good order leaves."""
    supervisor = system.started()
    orders = {
        "good": (0, 1),
        "end first": (1, 0),
        "end doubled": (0, 1, 1),
        "start again after the end": (0, 1, 0),
        "end, end, start, start": (1, 1, 0, 0),
        "end never": (0,),
    }
    runs = {name: _like(workload.run(), name) for name in orders}
    scripts = [tuple(runs[name][index] for index in order) for name, order in orders.items()]
    # Nobody waits for these, as for a run end that its client has given up on: they may take their time.
    with Load(ledger, [Sender("202", system.url(), iter(scripts))]) as load:
        load.join()
    account = holds(system.settle(ledger, supervisor))
    with psycopg.connect(system.database_url) as connection:
        rows = {name: connection.execute(_RUN, [runs[name][0].key[1]]).fetchone() for name in orders}
    assert account.letters == 0
    assert rows.pop("end never")[2] == "started"
    assert len(set(rows.values())) == 1, rows


def _like(run, name) -> tuple[Sending, Sending]:
    """Start and end of a run that differs from the others in its id alone."""
    start, _, end = run
    base = "/organizations/ponyville/reports/nodes/web01.ponyville.example/runs"
    run_id = start.key[1]
    body = b'{"action":"start","run_id":"%s","start_time":"2026-11-21 19:34:20 -0800"}' % run_id.encode()
    finish = (
        b'{"action":"end","resources":[],"status":"success","run_list":"[]","total_res_count":"0","data":{},'
        b'"start_time":"2026-11-21 19:34:20 -0800","end_time":"2026-11-22 03:34:21 UTC"}'
    )
    return (
        Sending(start.key, base, body, mark="web01.ponyville.example", headers=PROTOCOL),
        Sending(end.key, f"{base}/{run_id}", finish, mark="web01.ponyville.example", headers=PROTOCOL),
    )
