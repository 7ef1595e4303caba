"""The laws of the worker's loop, on plain values: nothing waits, and an hour of outage takes a millisecond."""

from __future__ import annotations

import contextlib
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_support import World, delivery, new_id
from pika import BasicProperties
from structlog.testing import capture_logs

from consumers.broker.publisher import NeverTaken, NotTaken
from consumers.delivery import hears
from consumers.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from consumers.worker.hand import PARK_AT
from consumers.worker.memory import MemoryStore
from schemas.message import HEADER_PARKED
from schemas.topology import ACTIONS, DEAD, PARKED, QUARANTINE, RUNS
from schemas.verdict import Created, Invalid, UnknownRun, WaitsForRun, without_letter

HOUR = 3600.0


@pytest.fixture
def world():
    with capture_logs():  # A traceback with all the values in it takes seconds to draw.
        yield World()


def suspects(world, count):
    """Messages that have come twice before; their payloads."""
    sent = [delivery() for _ in range(count)]
    world.broker.queues[ACTIONS].extend((each, 2) for each in sent)
    return [each.message.payload for each in sent]


def test_nothing_is_acked_before_its_commit(world, monkeypatch):
    """Whatever the broker forgets is a row, a letter, or in another queue by then."""
    sent = world.put(50) + world.put(1, payload="bad")
    pipeline = world.open()
    law_of_acks(world, monkeypatch)
    world.on_sleep = lambda number: setattr(world, "stopping", number > 30 and not world.waiting())
    world.run(pipeline)
    assert world.stored() == set(sent) - {b"bad"}
    assert world.waiting() == []


def law_of_acks(world, monkeypatch):
    """Looks at each acknowledgement of the open session."""
    honest = world.source.acknowledge

    def acknowledge(deliveries, *, whole_prefix):
        before = dict(world.source._unacked)
        honest(deliveries, whole_prefix=whole_prefix)
        kept = world.stored() | {payload for payload, _ in world.store.letters}
        forgotten = {before[tag][0].message.payload for tag in before.keys() - world.source._unacked.keys()}
        assert forgotten <= kept

    monkeypatch.setattr(world.source, "acknowledge", acknowledge)


def test_a_drain_loses_nothing_and_takes_no_more(world):
    """What was received is stored and acked before it ends; what was not waits for others, uncounted."""
    sent = world.put(50)
    world.on_sleep = lambda number: setattr(world, "stopping", number >= 2)
    world.run()
    left = world.waiting()
    assert [count for _, count in left] == [0] * len(left)
    assert 0 < len(left) < 50
    assert world.stored() == set(sent) - {payload for payload, _ in left}


def test_a_hurried_end_finishes_the_commit_under_way_and_gives_back_the_rest(world):
    """Settled what is committed; counted once more what was only in hand."""
    sent = world.put(20)

    def hurry(_):
        world.hurrying = bool(world.executor.work)

    world.on_sleep = hurry
    world.run()
    # It hears of it when it wakes: the first commit is done then, and the second under way.
    assert world.stored() == set(sent[:10])
    assert world.waiting() == [(payload, 1) for payload in sent[10:]]


def test_a_drain_in_an_outage_ends_after_its_time_and_gives_all_back(world):
    """A worker that is told to go does not wait for the database longer than it may."""
    sent = world.put(20)
    world.store.fault = StoreUnavailable("down")
    world.on_sleep = lambda number: setattr(world, "stopping", number >= 10)
    with pytest.raises(StoreUnavailable):
        world.run()
    assert world.now < 60
    assert world.waiting() == [(payload, 1) for payload in sent]
    assert world.store.rows == {}


def test_an_outage_is_sat_out_with_the_batch_in_hand_however_long(world):
    """Nothing is given back, counted or made a letter in an hour of it, and all is stored once it is over."""
    sent = world.put(50)
    world.store.fault = StoreUnavailable("read-only")

    def end_of_outage():
        if world.now > HOUR:
            world.store.fault = None
        return len(world.store.rows) == 50

    world.run_until(end_of_outage)
    assert world.stored() == set(sent)
    assert world.store.letters == []
    assert world.generation == 1
    assert world.waiting() == []


def test_a_commit_whose_answer_is_lost_is_made_again_and_is_the_same(world):
    """Not known is as not done: the second time it is a duplicate."""
    sent = world.put(5)
    world.store.torn = True
    world.run_until(lambda: bool(world.committed))
    assert world.stored() == set(sent)
    assert world.committed[0].verdicts == [Created(f"/action/{each.decode()}", duplicate=True) for each in sent]


def test_what_a_person_must_change_ends_the_loop_and_gives_all_back(world, monkeypatch):
    """Trying again would not help."""
    sent = world.put(3)
    monkeypatch.setattr(type(world.store), "commit", lambda *_: (_ for _ in ()).throw(Misconfigured("no table")))
    with pytest.raises(Misconfigured):
        world.run()
    assert world.waiting() == [(payload, 1) for payload in sent]


def test_a_full_hand_reads_no_more_but_for_heartbeats():
    """While a commit is under way and the bytes are many, the socket is left alone for a quarter heartbeat."""
    world = World(max_bytes=100, heartbeat=40.0, prefetch=1000)
    world.put(200)
    pipeline = world.open()
    polled, honest = [], world.source.poll

    def poll(timeout):
        full = world.committer.busy and pipeline.batcher.bytes + 5 * 36 >= 100
        polled.append((world.now, full, timeout))
        return honest(timeout)

    world.source.poll = poll
    world.slow_commits = True
    world.on_sleep = lambda number: setattr(world, "hurrying", number > 100)
    world.run(pipeline)
    times = [now for now, full, _ in polled if full]
    assert len(times) > 5
    assert all(timeout == 0 for _, full, timeout in polled if full)
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(times))


def test_a_run_end_that_waits_for_its_start_is_moved_and_nobody_is_told(world):
    """It comes back after the delay, one retry older; its neighbours are answered."""
    world.store.rule = lambda candidate, rows: (
        WaitsForRun("r", "not yet") if candidate.kind == "run_end" else Created("/x")
    )
    world.broker.put(delivery(queue=RUNS, kind="run_end"))
    world.broker.put(delivery(new_id(), waits=True))
    world.run_until(lambda: bool(world.broker.delayed))
    assert [each.retries for each in world.broker.delayed] == [1]
    assert [verdict for _, verdict in world.broker.replies] == [Created("/x")]
    assert world.waiting(RUNS) == world.waiting(ACTIONS) == []


def test_an_answer_is_sent_only_for_what_is_committed(world):
    """201 means committed: in an outage nobody is told anything."""
    world.broker.put(delivery(new_id(), waits=True))
    world.store.fault = StoreUnavailable("down")
    told_early = []

    def heal():
        told_early.extend(world.broker.replies if world.store.fault else [])
        if world.now > HOUR:
            world.store.fault = None
        return bool(world.broker.replies)

    world.run_until(heal)
    assert told_early == []


def test_suspects_leave_the_crowd_and_their_neighbours_stay(world):
    """Seen for the third time, a message goes where it can do harm to itself alone."""
    bad, good = suspects(world, 3), world.put(7)
    world.run_until(lambda: len(world.store.rows) == 7)
    assert world.waiting(QUARANTINE) == [(payload, 0) for payload in bad]
    assert world.stored() == set(good)
    assert world.waiting() == []


def test_a_suspect_that_cannot_be_moved_stays_in_hand_and_the_others_go_on(world):
    """Through an hour of alarm: nothing is given back, the worker says why, and it leaves once it can."""
    good, bad = world.put(10), suspects(world, 3)
    good += world.put(200)
    world.broker.blocked = True
    others_were_first = []

    def end_of_alarm():
        if world.now > HOUR and world.broker.blocked:
            others_were_first.append(len(world.store.rows))
            world.broker.blocked = False
        return len(world.broker.queues[QUARANTINE]) == 3

    world.run_until(end_of_alarm)
    assert others_were_first == [210]
    assert world.stored() == set(good)
    assert world.waiting(QUARANTINE) == [(payload, 0) for payload in bad]
    assert world.waiting() == []
    assert world.generation == 1
    assert any("alarm" in why and inflight >= 3 for inflight, why in world.ticks)
    assert world.ticks[-1][1] == ""


def test_more_suspects_than_a_worker_takes_at_a_time_do_not_stop_the_others(world):
    """Two workers were killed in the alarm: their whole prefetch is suspect, and lies before everything else."""
    bad, good = suspects(world, 130), world.put(50)
    world.broker.blocked = True
    world.run_until(lambda: len(world.store.rows) == 50)
    assert world.stored() == set(good)
    assert world.waiting() == [(payload, 3) for payload in bad]
    world.broker.blocked = False
    world.run_until(lambda: len(world.broker.queues[QUARANTINE]) == 130)
    assert world.waiting() == []


def test_a_run_end_that_cannot_be_delayed_yet_stays_in_hand(world):
    """Its batch is settled without it, and it goes once the alarm is over."""
    world.store.rule = lambda candidate, rows: (
        WaitsForRun("r", "not yet") if candidate.kind == "run_end" else Created("/x")
    )
    world.broker.put(delivery(queue=RUNS, kind="run_end"))
    world.put(5)
    world.broker.blocked = True

    def end_of_alarm():
        if world.now > 60:
            world.broker.blocked = False
        return bool(world.broker.delayed)

    world.run_until(end_of_alarm)
    assert world.generation == 1
    assert world.waiting(RUNS) == world.waiting() == []


def test_what_is_in_hand_when_the_broker_goes_comes_again(world):
    """Nothing is stored twice, and nothing is missing."""
    sent = world.put(50)

    def lose(number):
        world.broker.down = number == 4

    world.on_sleep = lose
    with pytest.raises(BrokerUnavailable):
        world.run()
    world.broker.down = False
    assert world.waiting()
    world.run_until(lambda: len(world.store.rows) == 50)
    assert world.stored() == set(sent)
    assert world.waiting() == []


def test_what_is_no_row_is_a_letter_and_is_answered(world):
    """Refused, and a run end that nobody started: kept, told, and gone from the queue."""
    world.store.rule = lambda candidate, rows: UnknownRun("r", "never started")
    world.broker.put(delivery("bad one", waits=True))
    world.broker.put(delivery("no run", kind="run_end", waits=True))
    world.run_until(lambda: len(world.store.letters) == 2)
    assert [correlation_id for correlation_id, _ in world.broker.replies] == ["bad one", "no run"]
    assert world.waiting() == []


@pytest.fixture
def full(world):
    """A world whose store keeps no letter of what its sender is told."""

    def told(item, verdict):
        hearing = isinstance(verdict, Invalid) and hears(item.delivery, world.now, 0.5)
        return without_letter(verdict, "no letter kept") if hearing else verdict

    world.store.told = told
    return world


def sent_now(payload):
    return delivery(payload, waits=True, properties=BasicProperties(timestamp=0))


def test_of_what_its_sender_is_told_no_letter_need_be_kept(full):
    """He is told, and it is gone."""
    full.broker.put(sent_now("bad one"))
    full.run_until(lambda: full.broker.replies)
    [(told, verdict)] = full.broker.replies
    assert (told, verdict.told) == ("bad one", "no letter kept")
    assert (full.store.letters, full.broker.delayed, full.waiting()) == ([], [], [])


@pytest.mark.parametrize("fault", ["late", "blocked", "gone"])
def test_what_has_no_letter_and_whose_sender_cannot_be_told_comes_again_and_is_one(full, fault):
    """The commit took too long, the broker takes no answer, or the shim has gone since: nothing is lost."""
    full.broker.put(sent_now("bad one"))
    told = full.store.told

    def end_in_fault(item, verdict):
        said = told(item, verdict)
        full.now += 5 * (fault == "late")
        full.broker.blocked = fault == "blocked"
        full.broker.strangers = {"shim"} if fault == "gone" else set()
        return said

    full.store.told = end_in_fault

    def mended():
        full.broker.blocked = full.broker.blocked and full.now < 60
        return bool(full.broker.delayed)

    full.run_until(mended)
    assert (full.store.letters, full.broker.replies, full.waiting()) == ([], [], [])
    full.store.told = told
    full.broker.end_delay()
    full.run_until(lambda: full.store.letters)
    assert [payload for payload, _ in full.store.letters] == [b"bad one"]


@given(st.floats(0, 10), st.integers(0, 5), st.none() | st.integers(0, 20), st.integers(0, 1), st.integers(0, 1))
def test_a_sender_is_never_taken_to_wait_longer_than_he_does(now, published, answer_by, deliveries, retries):
    """Whole seconds are taken for the earliest that they may mean; nobody waits for a second try."""
    headers = {"x-delivery-count": deliveries, "x-retries": retries}
    if answer_by is not None:
        headers["x-answer-by"] = answer_by
    properties = BasicProperties(timestamp=published)
    came = msgspec.structs.replace(delivery("m", waits=True, properties=properties), headers=headers)
    if hears(came, now, 0.5):
        assert deliveries + retries == 0
        assert published <= now + 1
        assert now + 0.5 < (published + 2 if answer_by is None else answer_by - 1)
    for nobody in (delivery("m", properties=properties), delivery("m", waits=True)):
        assert not hears(nobody, now, 0.5)


def refusing(monkeypatch, world, method, payloads, error, after=0, until=10**9):
    """The broker's answer to the moves of some, for a time."""
    honest = getattr(world.outbox, method)

    def move(delivery, *why):
        if delivery.message.payload in payloads and after <= world.now < until:
            raise error
        honest(delivery, *why)

    monkeypatch.setattr(world.outbox, method, move)


@pytest.mark.parametrize(
    ("error", "reason"), [(NeverTaken("too large"), "immovable"), (RuntimeError("our own"), "exception")],
    ids=["never_taken", "fault"],
)  # fmt: skip
def test_a_suspect_that_can_never_be_moved_is_a_letter(world, monkeypatch, error, reason):
    """Unjudged, with what was said of it; the other suspects are moved, the neighbours stored."""
    stuck, *others = suspects(world, 3)
    good = world.put(7)
    refusing(monkeypatch, world, "quarantine", [stuck], error)
    world.run_until(lambda: len(world.store.rows) == 7 and world.store.letters)
    assert [(payload, verdict.reason) for payload, verdict in world.store.letters] == [(stuck, reason)]
    assert [payload for payload, _ in world.waiting(QUARANTINE)] == others
    assert world.stored() == set(good)
    assert world.waiting() == []
    assert world.generation == 1


@pytest.mark.parametrize("error", [NeverTaken("too large"), RuntimeError("our own")], ids=["never_taken", "fault"])
def test_a_run_end_that_can_never_be_delayed_is_a_letter(world, monkeypatch, error):
    """Nothing of its batch is acknowledged in its place."""
    world.store.rule = lambda candidate, rows: (
        WaitsForRun("r", "not yet") if candidate.kind == "run_end" else Created("/x")
    )
    end = delivery(queue=RUNS, kind="run_end")
    world.broker.put(end)
    world.put(5)
    refusing(monkeypatch, world, "delay", [end.message.payload], error)
    world.run_until(lambda: bool(world.store.letters))
    assert [payload for payload, _ in world.store.letters] == [end.message.payload]
    assert world.waiting(RUNS) == world.waiting() == []


def test_what_becomes_a_letter_late_is_not_acknowledged_by_its_youngers(world, monkeypatch):
    """In hand through an alarm, then refused for good while younger ones are being committed."""
    (stuck,) = suspects(world, 1)
    good = world.put(4)
    world.broker.blocked = True
    pipeline = world.open()
    law_of_acks(world, monkeypatch)
    refusing(monkeypatch, world, "quarantine", [stuck], NeverTaken("too large"), after=60)

    def step(number):
        assert number < 1000
        if 59 < world.now < 70 and not world.store.letters:
            good.extend(world.put(7))
        world.stopping = bool(world.store.letters) and not world.waiting()

    world.on_sleep = step
    world.run(pipeline)
    assert [payload for payload, _ in world.store.letters] == [stuck]
    assert world.stored() == set(good)


def test_what_no_move_and_no_letter_can_take_is_parked_with_the_reason(world, monkeypatch):
    """A suspect that has come again and again though it was to be a letter: making one is what kills."""
    world.broker.queues[ACTIONS].append((stuck := delivery(), PARK_AT))
    good = world.put(3)
    refusing(monkeypatch, world, "quarantine", [stuck.message.payload], NeverTaken("too large"))
    world.run_until(lambda: bool(world.broker.queues[PARKED]) and len(world.store.rows) == 3)
    ((parked, _),) = world.broker.queues[PARKED]
    assert "too large" in parked.headers[HEADER_PARKED]
    assert world.stored() == set(good)
    assert world.waiting() == []


def unkept(monkeypatch, payload, error=RuntimeError):
    """Not even a letter can be made of it: the exceptions raised instead."""
    raised, honest = [], MemoryStore.commit

    def commit(store, items):
        if any(each.delivery.message.payload == payload for each in items):
            raised.append(error())
            raise raised[-1]
        return honest(store, items)

    monkeypatch.setattr(MemoryStore, "commit", commit)
    return raised


def test_what_can_not_be_parked_yet_stays_in_hand(world, monkeypatch):
    """An alarm, or a fault of ours: the neighbours are stored and acknowledged, and it goes when it can."""
    unkept(monkeypatch, b"odd")
    world.broker.put(delivery("odd"))
    good = world.put(9)
    world.broker.blocked = True
    refusing(monkeypatch, world, "park", [b"odd"], RuntimeError("our own"), after=30, until=60)
    others_were_first = []

    def end_of_alarm():
        if world.now > 30 and world.broker.blocked:
            others_were_first.append((len(world.store.rows), world.waiting()))
            world.broker.blocked = False
        return bool(world.broker.queues[PARKED])

    world.run_until(end_of_alarm)
    assert others_were_first == [(9, [])]
    assert world.stored() == set(good)
    assert world.generation == 1
    assert world.now > 60
    assert world.waiting() == []


def test_what_kills_its_worker_even_as_a_letter_goes_round_once_and_is_parked(world, monkeypatch):
    """Off the dead letter queue: suspects leave it for quarantine, and what comes back from there is parked."""
    deaths = unkept(monkeypatch, b"deadly", KeyboardInterrupt)
    world.broker.put(delivery("deadly", queue=DEAD))
    good = [delivery(queue=DEAD) for _ in range(9)]
    for each in good:
        world.broker.put(each)
    for turn in range(40):
        world.queues = [QUARANTINE] if turn % 2 else [ACTIONS, RUNS, DEAD]
        world.prefetch = world.batch = 1 if turn % 2 else 10
        with contextlib.suppress(KeyboardInterrupt):
            world.run_until(lambda: world.sleeps % 50 == 0)
    assert len(deaths) < 10
    ((parked, _),) = world.broker.queues[PARKED]
    assert parked.message.payload == b"deadly"
    assert parked.headers[HEADER_PARKED]
    assert {payload for payload, _ in world.store.letters} == {each.message.payload for each in good}
    assert not world.broker.queues[DEAD]


def test_a_full_quarantine_is_waited_for(world, monkeypatch):
    """What the broker does not take now it may take later: no letter is made of it."""
    (stuck,) = suspects(world, 1)
    refusing(monkeypatch, world, "quarantine", [stuck], NotTaken("full"), until=60)
    world.run_until(lambda: bool(world.broker.queues[QUARANTINE]))
    assert world.now >= 60
    assert world.store.letters == []
