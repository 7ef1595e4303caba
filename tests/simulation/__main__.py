"""Plays histories one seed after another, or one of them with everything that happens in it: `make seeds`."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from consumers.worker.pipeline import Pipeline
from simulation.history import Played, play
from simulation.planted import PLANTED


def main() -> int:
    """0 where every history is as promised, else 1; the seeds of the others are printed."""
    options = _options().parse_args()
    pipeline = PLANTED[options.planted] if options.planted else Pipeline
    if options.seed is not None:
        played = play(options.seed, pipeline)
        print("\n".join(played.trace))
        return int(_told(played))
    first = secrets.randbelow(10**9) if options.first is None else options.first
    print(f"{options.count} histories, seeds from {first}", flush=True)
    began = time.monotonic()
    bad = 0
    for seed in range(first, first + options.count):
        bad += _told(play(seed, pipeline))
    print(f"{options.count} histories in {time.monotonic() - began:.0f} s, {bad} not as promised")
    return min(bad, 1)


def _told(played: Played) -> bool:
    """Whether it is not as promised; what is wrong is printed then."""
    if played.faults:
        print(f"\nseed {played.seed}: NOT as promised; all that happened in it: make seeds SEED={played.seed}")
        for fault in played.faults:
            print(f"    {fault}", flush=True)
    return bool(played.faults)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="how many histories")
    parser.add_argument("--first", type=int, help="the first seed; by default any, which is printed")
    parser.add_argument("--seed", type=int, help="one history, with its trace")
    parser.add_argument("--planted", choices=PLANTED, help="break the loop on purpose, to see it found")
    return parser


if __name__ == "__main__":
    sys.exit(main())
