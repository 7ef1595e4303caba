"""When a channel that only nacks is given up for another one."""

from __future__ import annotations

from ingest.publisher.nacks import FIRST_SECONDS, LONGEST_SECONDS, Nacks


def test_a_nack_now_and_then_is_no_reason():
    """One confirm of the same kind, and the time counts from the next nack."""
    nacks = Nacks()
    for second in range(100):
        assert not nacks.nacked("action", second)
        nacks.confirmed("action")


def test_nothing_but_nacks_is_a_reason_more_and_more_rarely():
    """A full queue costs a connection after 2 s, then 4, 8 and so on, at most once a minute."""
    nacks = Nacks()
    given_up = [second for second in range(500) if nacks.nacked("action", second)]
    gaps = [later - sooner for sooner, later in zip([0, *given_up], given_up, strict=False)]
    assert gaps[0] == FIRST_SECONDS
    assert gaps == sorted(gaps)
    assert LONGEST_SECONDS <= gaps[-1] <= LONGEST_SECONDS + 1


def test_kinds_are_judged_apart():
    """Confirms of one queue say nothing of another one."""
    nacks = Nacks()
    assert not nacks.nacked("ping", 0.0)
    nacks.confirmed("action")
    assert nacks.nacked("ping", FIRST_SECONDS)
