"""The ledger says what was lost, what is unexpected and what is there twice, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.soak.ledger import Found, SoakLedger, digest

KEYS = st.sampled_from([("action", str(number)) for number in range(8)])
OUTCOMES = st.sampled_from(["acknowledged", "refused"])


def written(history) -> SoakLedger:
    ledger = SoakLedger()
    for key, outcome in history:
        ledger.sent(key, repr(key).encode())
        if outcome == "acknowledged":
            ledger.acknowledged(key, "201", 0.0)
        else:
            ledger.refused(key, "503")
    return ledger


def found(rows, letters=(), **facts) -> Found:
    return Found(rows=rows, marks={}, letters={digest(repr(key).encode()): 1 for key in letters}, **facts)


@given(st.lists(st.tuples(KEYS, OUTCOMES)), st.dictionaries(KEYS, st.integers(1, 3)), st.sets(KEYS))
def test_the_account_is_set_arithmetic(history, rows, letters):
    """Lost is acknowledged minus found, unexpected is found minus sent, recovered is found and never acknowledged."""
    account = written(history).reconcile(found(rows, letters))
    sent = {key for key, _ in history}
    promised = {key for key, outcome in history if outcome == "acknowledged"}
    there = set(rows) | letters
    assert set(account.lost) == promised - there
    assert {key for key in account.unexpected if key[0] != "letter"} == set(rows) - sent
    assert sum(1 for key in account.unexpected if key[0] == "letter") == len(letters - sent)
    assert set(account.duplicated) == {key for key, count in rows.items() if count > 1}
    assert account.recovered == len((sent - promised) & there)
    assert (account.sent, account.acknowledged) == (len(sent), len(promised))
    assert account.holds == (not account.lost and not account.unexpected and not account.duplicated)


def test_a_letter_stands_for_one_of_the_messages_that_have_its_body():
    """Of two messages with one body, one stored and one a letter, none is lost; both missing but for a letter, one."""
    ledger = SoakLedger()
    for number in range(2):
        ledger.sent(("run_end", str(number)), b"same")
        ledger.acknowledged(("run_end", str(number)), "202", 0.0)
    letter = {digest(b"same"): 1}
    for stored in range(2):
        assert ledger.reconcile(Found(rows={("run_end", str(stored)): 1}, marks={}, letters=letter)).holds
    assert len(ledger.reconcile(Found(rows={}, marks={}, letters=letter)).lost) == 1
    other = SoakLedger()
    for key, outcome in ((("letter", "refused"), other.refused), (("letter", "promised"), other.acknowledged)):
        other.sent(key, b"same")
        outcome(key, *(("413",) if outcome == other.refused else ("202", 0.0)))
    assert other.reconcile(Found(rows={}, marks={}, letters=letter)).holds


@given(st.integers(0, 5), st.integers(0, 5))
def test_skipped_messages_are_lost_by_number(sent, counted):
    """A message that a rule skips leaves a count and no name: as many are lost as the count is short."""
    ledger = SoakLedger()
    for number in range(sent):
        ledger.sent(("action", str(number)), b"%d" % number, fate="skip")
        ledger.acknowledged(("action", str(number)), "200", 0.0)
    assert len(ledger.reconcile(found({}, skipped=counted)).lost) == max(0, sent - counted)


def test_a_row_with_a_mark_that_was_never_sent_is_unexpected():
    """A row under a known id that says something nobody sent does not pass for the message."""
    ledger = SoakLedger()
    ledger.sent(("action", "1"), b"x", mark="app1")
    rows = {("action", "1"): 1}
    assert ledger.reconcile(Found(rows=rows, marks={("action", "1"): "app1"}, letters={})).holds
    assert not ledger.reconcile(Found(rows=rows, marks={("action", "1"): "other"}, letters={})).holds


def test_a_message_left_in_a_queue_is_no_success():
    """An account whose messages are still under way does not hold, whatever else it says."""
    account = SoakLedger().reconcile(found({}, waiting={"ingest.actions": 1}))
    assert not account.holds
    assert ("left in ingest.actions", "1") in account.rows()


def test_one_letter_twice_is_a_duplicate_and_one_by_each_door_is_not():
    """The same payload through two doors is two messages; two letters of one message are one too many."""
    ledger = written([(("action", "1"), "acknowledged")])
    key = digest(repr(("action", "1")).encode())
    assert ledger.reconcile(Found(rows={}, marks={}, letters={key: 2})).holds
    assert not ledger.reconcile(Found(rows={}, marks={}, letters={key: 2}, twice={key})).holds


def test_the_longest_stall_is_between_acknowledgements_of_running_senders():
    """Time in which nothing was promised counts while senders are at work, and not between two loads."""
    ledger = SoakLedger()
    for begin in (100.0, 500.0):
        ledger.begin(begin)
        for later in (1.0, 4.0):
            ledger.sent(("action", str(begin + later)), b"")
            ledger.acknowledged(("action", str(begin + later)), "201", begin + later)
        ledger.end(begin + 5.0)
    account = ledger.reconcile(found({("action", key): 1 for key in ("101.0", "104.0", "501.0", "504.0")}))
    assert account.longest_stall == 3.0
    assert account.holds
    assert "the ledger holds" in str(account)
