"""The pure and small parts of operating: autoscale, reports, ledger, meter, control socket, sd_notify."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery import Batch, Committed, Judged
from consumers.errors import StoreUnavailable
from consumers.ledger.balance import balance, window
from consumers.runtime.signals import SignalInbox
from consumers.runtime.systemd import Notifier
from consumers.supervisor.autoscale import DOWN_SECONDS, SPARE, UP_SECONDS, Band, Memory, Sight, decide, within_room
from consumers.supervisor.control import ControlError, ControlSocket, ask, state_folder
from consumers.supervisor.meter import Meter
from consumers.supervisor.pool import Pool
from consumers.supervisor.slot import SILENT_SECONDS, Slot
from consumers.telemetry.reporter import Reporter
from consumers.telemetry.reports import Line, Report, Reports
from ingest.diagnostics.audit import judge as judge_ledger
from ingest.diagnostics.policies import nodes, policies
from schemas.verdict import Conflict, Created, DuringRun, Invalid, Pong, UnknownRun, WaitsForRun

BAND = Band(1, 8, 60.0)
few = st.integers(0, 99)
HOUR = datetime(2026, 11, 22, 5, tzinfo=UTC)

bands = st.builds(
    lambda least, more, target: Band(least, least + more, target),
    st.integers(1, 20),
    st.integers(0, 50),
    st.floats(1, 3600),
)
sights = st.builds(
    Sight,
    now=st.floats(0, 1e6),
    backlog=st.integers(0, 10**9),
    rate=st.floats(0, 1e6),
    consuming=st.integers(0, 300),
    paused=st.booleans(),
)
memories = st.builds(
    Memory,
    worker_rate=st.none() | st.floats(0, 1e6, exclude_min=True),
    more_since=st.none() | st.floats(0, 1e6),
    fewer_since=st.none() | st.floats(0, 1e6),
)


@given(bands, sights, st.integers(0, 400), memories)
def test_the_number_stays_in_its_band_and_never_more_than_doubles(
    band: Band, sight: Sight, wanted: int, memory: Memory
) -> None:
    """Whatever is seen, the number is within the band, at most twice what it was, and at most one lower."""
    decided, _ = decide(band, sight, wanted, memory)
    assert band.least <= decided <= band.most
    current = min(max(wanted, band.least), band.most)
    assert current - 1 <= decided <= 2 * current


@given(bands, sights, st.integers(1, 70), memories)
def test_an_outage_changes_no_number(band: Band, sight: Sight, wanted: int, memory: Memory) -> None:
    """While workers are held up, more or fewer of them would not help."""
    paused = Sight(sight.now, sight.backlog, sight.rate, sight.consuming, paused=True)
    decided, _ = decide(band, paused, wanted, memory)
    assert decided == min(max(wanted, band.least), band.most)


def run(seconds: float, wanted: int, memory: Memory, *, backlog: int, worker_rate: float, start: float = 0.0) -> list:
    """What is decided every 2 s while the backlog stays; the numbers, and the memory at the end."""
    numbers = []
    for step in range(int(seconds / 2)):
        sight = Sight(start + 2.0 * step, backlog, worker_rate * wanted, wanted)
        wanted, memory = decide(BAND, sight, wanted, memory)
        numbers.append(wanted)
    return [numbers, memory]


@given(st.integers(0, 10**6), st.floats(1, 10**4), st.integers(1, 8))
def test_a_steady_load_settles_without_flapping(backlog: int, worker_rate: float, wanted: int) -> None:
    """With a backlog and a rate that stay as they are, the number goes one way and then stays."""
    numbers, _ = run(600, wanted, Memory(), backlog=backlog, worker_rate=worker_rate)
    directions = [b - a for a, b in zip([wanted, *numbers], numbers, strict=False) if a != b]
    assert all(d > 0 for d in directions) or all(d < 0 for d in directions)
    assert len(set(numbers[-30:])) == 1


def test_a_backlog_brings_workers_soon_and_its_end_takes_them_slowly() -> None:
    """More come after UP_SECONDS; fewer only DOWN_SECONDS after they are enough, one by one."""
    numbers, memory = run(UP_SECONDS + 4, 1, Memory(), backlog=40_000, worker_rate=100)
    assert numbers[0] == 1
    assert numbers[-1] == 2
    numbers, memory = run(20, 2, memory, backlog=40_000, worker_rate=100, start=10)
    assert numbers[-1] == 7
    numbers, _ = run(DOWN_SECONDS + 6, 7, memory, backlog=0, worker_rate=0, start=40)
    assert numbers[0] == 7
    assert numbers[-1] == 6


@given(st.integers(1, 300), st.integers(1, 300), st.none() | st.integers(0, 300))
def test_workers_are_added_only_with_a_connection_for_each(wanted: int, current: int, room: int | None) -> None:
    """More than now only as far as there is room beside the spare ones; taking away is never hindered."""
    allowed = within_room(wanted, current, room)
    assert min(wanted, current) <= allowed <= wanted
    if room is not None and allowed > current:
        assert allowed - current + SPARE <= room


@pytest.mark.parametrize("text", ["", "1", "0..3", "3..2", "1...3", "1..3\n", "٣..٤", "1..99999", "-1..2"])
def test_a_band_is_min_to_max(text: str) -> None:
    """Anything but MIN..MAX with 1 <= MIN <= MAX is refused."""
    with pytest.raises(ValueError, match=r"MIN\.\.MAX"):
        Band.parse(text, 60)


def item(timestamp: int | None = None) -> Judged:
    properties = SimpleNamespace(timestamp=timestamp)
    delivery = SimpleNamespace(properties=properties)
    return Judged(delivery, Pong())  # type: ignore[arg-type]


def test_each_verdict_is_one_outcome() -> None:
    """Stored, duplicate, during_run, conflict, dead or delayed; a ping is none of them; errors go by class."""
    told: list[Report] = []
    reporter = Reporter("main", lambda report: told.append(report) is None, monotonic=lambda: 0.0, now=lambda: 100.0)
    items = (item(90), item(90), item(70), item(), item(), item(), item(), item())
    verdicts = (
        Created("/a"), Created("/a", True), DuringRun("run_id"), Conflict({}),
        Invalid("database", "refused", {}, "22P05"),
        WaitsForRun("r", "t"), UnknownRun("r", "t"), Pong(),
    )  # fmt: skip
    reporter.observe(Committed(Batch(items, 10, "idle"), verdicts, 0.5))
    (report,) = told
    assert report.outcomes == {"stored": 1, "duplicate": 1, "during_run": 1, "conflict": 1, "dead": 2, "delayed": 1}
    assert report.messages == 6
    assert report.ages == {10: 2, 30: 1}
    assert report.errors == {"22": 1}
    assert report.committed_at == 100.0


@given(st.lists(st.booleans(), max_size=20))
def test_no_count_is_lost_or_told_twice_when_reports_fail(through: list[bool]) -> None:
    """However many reports don't get through, those that do add up to all that was done until then."""
    told: list[Report] = []
    results = iter([*through, True])

    def send(report: Report) -> bool:
        if next(results):
            told.append(report)
            return True
        return False

    reporter = Reporter("main", send, monotonic=lambda: 0.0)
    for _ in range(len(through) + 1):
        reporter.observe(Committed(Batch((item(),), 1, "idle"), (Created("/a"),), 0.1))
    assert sum(report.outcomes.get("stored", 0) for report in told) == len(through) + 1
    assert sum(len(report.batches) for report in told) == len(through) + 1


def test_an_outage_is_counted_by_its_sqlstate() -> None:
    """The class of the error that caused it; `connection` where it has none."""
    told: list[Report] = []
    reporter = Reporter("main", lambda report: told.append(report) is None)
    known = StoreUnavailable("x")
    known.__cause__ = SimpleNamespaceError("57P01")
    reporter.error(known)
    reporter.error(StoreUnavailable("y"))
    reporter.state("waiting", "because")
    assert told[0].errors == {"57": 1, "connection": 1}


class SimpleNamespaceError(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def test_reports_get_through_and_a_full_line_never_blocks() -> None:
    """A report comes out as it went in; when nobody reads, sending says no instead of waiting; rubbish is skipped."""
    reports = Reports()
    line = Line(os.dup(reports.worker_fd))
    report = Report(pid=1, lane="main", state="consuming", ages={3: 2})
    assert line.send(report)
    os.write(reports.worker_fd, b"\xc1")
    assert reports.receive() == [report]
    sent = 0
    while line.send(report):
        sent += 1
    assert len(reports.receive()) == sent
    reports.close()
    assert not line.send(report)
    line._socket.close()


def test_a_meter_forgets_what_is_older_than_its_window() -> None:
    """The rate is that of the last seconds only."""
    meter = Meter(10.0)
    assert meter.rate(0.0) == 0.0
    meter.add(100, 1.0)
    assert meter.rate(10.0) == 10.0
    meter.add(50, 10.5)
    assert meter.rate(12.0) == 5.0
    assert meter.rate(30.0) == 0.0


def test_a_control_socket_answers_in_a_folder_of_any_depth(tmp_path: Path) -> None:
    """A path longer than the kernel allows works, rubbish is answered with an error, a second listener is refused,
    and the socket of one that died is taken over."""
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    control = ControlSocket(folder)
    served = threading.Thread(target=serve, args=(control, 3))
    served.start()
    assert ask(folder, {"verb": "hello"}) == {"heard": "hello"}
    with pytest.raises(ControlError, match="not understood"):
        ask(folder, [])  # type: ignore[arg-type]
    with pytest.raises(ControlError, match="no such"):
        ask(folder, {"verb": "no"})
    served.join(10)
    assert control.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ControlError, match="another supervisor"):
        ControlSocket(folder)
    control._listener.close()
    ControlSocket(folder).close()
    with pytest.raises(ControlError, match="no supervisor answers"):
        ask(folder, {})


def serve(control: ControlSocket, times: int) -> None:
    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"error": "no such"} if request["verb"] == "no" else {"heard": request["verb"]}

    answered = 0
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while answered < times:
            selector.select(10)
            before = len(control._callers)
            control.serve(answer)
            answered += max(0, before - len(control._callers))


def test_a_state_folder_is_found_where_it_is_likely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given wins, then INGEST_STATE, then `.local` where there is one, then the machine's."""
    monkeypatch.chdir(tmp_path)
    assert state_folder(Path("x"), {"INGEST_STATE": "y"}) == Path("x")
    assert state_folder(None, {"INGEST_STATE": "y"}) == Path("y")
    assert state_folder(None, {}) == Path("/run/chef-ingest")
    (tmp_path / ".local").mkdir()
    assert state_folder(None, {}) == Path(".local")


def test_systemd_is_told_and_its_absence_is_harmless(tmp_path: Path) -> None:
    """The protocol's own words go to the socket, an abstract one too; without one nothing happens."""
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()
    for address in (str(tmp_path / "s"), "@chef-ingest-test-" + str(os.getpid())):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(address.replace("@", "\0"))
            notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
            assert notifier.watchdog_seconds == 30
            notifier.alive("all well")
            assert systemd.recv(1000) == b"WATCHDOG=1\nSTATUS=all well"


def test_signals_are_taken_in_order_each_once() -> None:
    """Two of a kind are two."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTTIN, signal.SIGUSR2)}
    inbox = SignalInbox(before)
    try:
        for number in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        assert inbox.take() == [signal.SIGTTIN, signal.SIGTTIN, signal.SIGUSR2]
        assert inbox.take() == []
    finally:
        inbox.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_worker_that_keeps_dying_is_replaced_ever_later() -> None:
    """The pause doubles with each early death, is bounded, and starts anew after a long life."""
    slot = Slot("main")
    pauses = [slot.bury(float(second)) for second in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.1)
    assert pauses[-1] == 30.0
    assert slot.bury(1000.0) == pytest.approx(0.1)


def test_the_window_of_a_ledger_is_whole_hours() -> None:
    """One hour is this hour."""
    assert window(1, HOUR + timedelta(minutes=59)) == HOUR
    assert window(24, HOUR) == HOUR - timedelta(hours=23)


@given(few, few, few, few, few, few)
def test_the_gap_is_what_is_nowhere(stored: int, during: int, twice: int, letters: int, flying: int, lost: int) -> None:
    """Acknowledged minus everything found is the gap, exactly; lost messages are missing, none lost is closed."""
    taken = stored + during + twice + letters + flying + lost
    ledger = balance({HOUR: (taken, 0, 0, 0)}, [{HOUR: (stored,)}, {HOUR: (during, twice)}, {HOUR: (letters,)}], flying)
    assert ledger.gap == lost
    assert judge_ledger(ledger)[0] == ("missing" if lost else "closed")
    assert ledger.rows()[-1]["carried"] == flying + lost


def test_a_surplus_is_explained_as_far_as_it_can_be() -> None:
    """Repeated deliveries and late 503s explain that much of a surplus, and no more; nothing at all is empty."""
    hours = {HOUR: (5, 0, 1, 1)}
    assert "explained" in judge_ledger(balance(hours, [{HOUR: (7,)}, {}, {}], 0))[1]
    assert "the rest" in judge_ledger(balance(hours, [{HOUR: (8,)}, {}, {}], 0))[1]
    assert judge_ledger(balance({}, [{}, {}, {}], 0))[0] == "empty"


def policy(pattern: str, priority: int = 0, kind: str = "all", **definition: object) -> dict[str, object]:
    found = {"name": f"p{priority}", "vhost": "v", "pattern": pattern, "priority": priority, "apply-to": kind}
    return found | {"definition": {name.replace("_", "-"): value for name, value in definition.items()}}


@pytest.mark.parametrize("limit", [-1, 0, 20, 99_999, "many"])
def test_a_low_delivery_limit_by_policy_is_a_warning(limit: object) -> None:
    """The lower of a policy and the queue's own argument holds, and good messages come back often in an outage."""
    (found,) = policies([policy(r"^ingest\.(actions|runs)$", delivery_limit=limit)], [])
    assert (found.level, f"delivery-limit = {limit} on ingest.actions, ingest.runs" in found.finding) == (
        "warning",
        True,
    )


def test_a_policy_that_caps_our_queues_is_a_warning() -> None:
    """Only one that is in force on a queue of ours, and that limits length or time."""
    cap = policy(r"^ingest\.actions$", max_length=5)
    for harmless in (
        [policy("^other", max_length=5), policy("ingest", ha_mode="all")],
        [policy("ingest", kind="exchanges", max_length=5), policy("ingest", kind="classic_queues", expires=5)],
        [cap, policy("ingest", 1, ha_mode="all")],
        [policy("ingest", delivery_limit=10**9), policy("^ingest.delay$", delivery_limit=1)],
    ):
        assert [each.level for each in policies(harmless, harmless)] == ["ok"]
    for users, operators in (([cap], []), ([cap, policy("other", 1)], []), ([policy(".*", 1)], [cap])):
        (capping,) = policies(users, operators)
        assert capping.level == "warning"
        assert "max-length = 5 on ingest.actions" in capping.finding
        assert ("clear_operator_policy" if operators else "clear_policy") in capping.remedy


def test_a_pattern_that_only_erlang_can_read_is_taken_to_match() -> None:
    """Better warned of one policy too many than of one too few."""
    (capping,) = policies([policy(r"\Qingest\E", message_ttl=5)], [])
    assert capping.level == "warning"


def test_a_node_in_trouble_is_a_finding() -> None:
    """Alarms and partitions are broken, a node that is down or short of disk is a warning, and else all is well."""
    fine = {"name": "n", "running": True, "partitions": [], "mem_alarm": False, "disk_free": 10, "disk_free_limit": 2}
    worse = (
        {"partitions": ["m"]},
        {"mem_alarm": True},
        {"disk_free_alarm": True},
        {"running": False},
        {"disk_free": 3},
    )
    levels = ["ok", "broken", "broken", "broken", "warning", "warning"]
    assert [found.level for each in ({}, *worse) for found in nodes([fine | each])] == levels


def test_a_worker_whose_loop_hangs_is_killed_and_replaced() -> None:
    """Silent for longer than a loop may be, a worker that is deaf to signals is dead, and another one runs."""
    now = [0.0]
    reader, writer = os.pipe()
    deaf = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
    died: list[str] = []
    pool = Pool(lambda lane, fd: deaf, writer, 1, 0.0, died.append, clock=lambda: now[0])
    try:
        pool.reconcile()
        before = [slot.process for slot in pool.slots]
        while now[0] < SILENT_SECONDS:
            now[0] += 1
            pool.reconcile()
        now[0] += 1
        assert not pool.progressing
        pool.reconcile()
        assert [process.wait(10) for process in before if process] == [-signal.SIGKILL] * 2
        pool.reconcile()
        assert sorted(died) == ["main", "quarantine"]
        now[0] += 1
        pool.reconcile()
        assert {slot.process.poll() if slot.process else 0 for slot in pool.slots} == {None}
        assert not {slot.process for slot in pool.slots} & set(before)
    finally:
        for slot in pool.slots:
            slot.kill()
            if slot.process:
                slot.process.wait(10)
        os.close(reader)
        os.close(writer)
