"""`python -m bench`: measure, print one table, exit 1 if anybody stored wrong rows; times never decide that."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from bench import age, drain, growth, machine, pages, post, reads, ready, report, rig, scale, stopped
from bench.children import ROOT, ChildFailed
from bench.plan import DEFAULT, QUICK, SECTIONS, Plan


@click.command()
@click.option("--quick", is_flag=True, help="Little of everything, for correctness: its times say nothing.")
@click.option("--rounds", type=click.IntRange(1), help="How often each contender has its turn.")
@click.option("--only", default=",".join(SECTIONS), show_default=True, help="Sections, comma-separated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Where to write the same as JSON.")
@click.option("--write", is_flag=True, help="Put what was measured into docs/performance.md and performance-table.md.")
@click.option("--long", "long_run", is_flag=True, help="Growth with 50 million rows too (about 40 GB of disk).")
@click.option(
    "--home", type=click.Path(path_type=Path), default=ROOT / ".bench", envvar="BENCH_HOME",
    help="Folder for the private servers, the peers' packages and logs. [.bench]",
)  # fmt: skip
def main(
    quick: bool, rounds: int | None, only: str, json_file: Path | None, write: bool, long_run: bool, home: Path
) -> None:
    """Measure chef-ingest and its peers side by side on a private stack with fresh data."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = only.split(",")
    unknown = set(wanted) - set(SECTIONS)
    if unknown:
        raise click.UsageError(f"--only: no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    plan = (QUICK if quick else DEFAULT).with_(rounds=rounds, long_run=long_run)
    began = time.monotonic()
    rig.install_peers(home.absolute(), _say)
    with rig.fresh(home.absolute(), plan.patience, plan.segments, _say) as bench:
        facts = machine.facts(bench)
        for section in SECTIONS:
            if section in wanted:
                _run(section, bench, plan)
        told = report.document(facts, bench.results, time.monotonic() - began)
    if json_file is not None:
        json_file.write_text(json.dumps(told, indent=1) + "\n")
    print(*report.lines(told), sep="\n")
    if write and not told["faults"]:
        pages.write(told)
    sys.exit(1 if told["faults"] else 0)


def _run(section: str, bench: rig.Rig, plan: Plan) -> None:
    steps: dict[str, Any] = {
        "drain": lambda: drain.section(bench, plan.rounds, plan.drain, plan.line_up),
        "post": lambda: post.section(bench, plan.rounds, plan.connections, plan.post_seconds, plan.lone),
        "age": lambda: age.section(bench, plan.rounds, plan.age),
        "stopped": lambda: stopped.section(bench, plan.stopped),
        "growth": lambda: growth.section(bench, plan.rounds, plan.growth, list(plan.growth_sizes)),
        "scale": lambda: scale.section(bench, plan.rounds, plan.scale, plan.processes, plan.backlogs),
        "reads": lambda: reads.section(bench, plan.rounds, *plan.reads),
        "console": lambda: ready.section(bench, plan.rounds, *plan.console),
        "memory": lambda: scale.memory(bench, plan.memory),
    }
    began = time.monotonic()
    try:
        steps[section]()
    except ChildFailed as failure:
        bench.results.fault(section, "stopped", [str(failure)])
    _say(f"{section}: {time.monotonic() - began:.0f} s; load {os.getloadavg()[0]:.1f}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
