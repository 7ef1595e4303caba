"""The worker's loop in histories drawn from seeds: several workers, everything that goes wrong, and the account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.harms import LIKELY, WAYS
from simulation.history import play
from simulation.planted import PLANTED

HISTORIES = 500
TESTS = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def histories():
    return [play(seed) for seed in range(HISTORIES)]


def test_in_every_history_each_message_ends_in_one_place_and_every_answer_is_true(histories):
    """Once all is well: a row, a count, a letter or parked, nothing twice, nothing nobody's, no queue holding any."""
    bad = {played.seed: played.faults for played in histories if played.faults}
    assert not bad, f"replay one with all that happens in it: make seeds SEED={min(bad)}"


def test_the_histories_have_every_harm_and_every_trouble_in_them(histories):
    """Or they would prove less than they say."""
    met = set().union(*(played.met for played in histories))
    assert met == {*WAYS, *LIKELY}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_found_and_its_seed_replays_it(planted):
    """Within a hundred histories, of which the honest loop has none at fault; the same happens at the second time."""
    found = next(played for played in (play(seed, PLANTED[planted]) for seed in range(100)) if played.faults)
    again = play(found.seed, PLANTED[planted])
    assert (again.faults, again.trace) == (found.faults, found.trace)
    assert play(found.seed).faults == []


def test_a_seed_is_the_same_history_in_another_process():
    """Whatever that process makes of hashes: the command prints what happened here, and ends with 1."""
    planted = "ack_before_commit"
    found = next(played for played in (play(seed, PLANTED[planted]) for seed in range(100)) if played.faults)
    command = [sys.executable, "-m", "simulation", "--seed", str(found.seed), "--planted", planted]
    environ = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", "PYTHONHASHSEED": "4711"}
    said = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert said.returncode == 1, said.stderr
    assert said.stdout.startswith("\n".join(found.trace))
    assert all(fault in said.stdout for fault in found.faults)
