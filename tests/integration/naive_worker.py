"""Workers without the quarantine lane, N of them, each replaced when it dies: what the lane is measured against."""

import os
import signal
import subprocess
import sys
import time

from consumers.runtime.failpoints import from_environment
from consumers.worker import pipeline
from consumers.worker.process import run_worker
from ingest.cli.configuration import configure

NOBODY = 10**9


def main() -> None:
    if sys.argv[1:] == ["--worker"]:
        pipeline.SUSPECT_AT = NOBODY
        sys.exit(run_worker(configure(os.environ).settings, "main", "naive", from_environment(os.environ)))
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    argv = [sys.executable, __file__, "--worker"]
    workers = [subprocess.Popen(argv) for _ in range(int(sys.argv[1]))]
    while not stopped:
        workers = [each if each.poll() is None else subprocess.Popen(argv) for each in workers]
        time.sleep(0.05)
    for each in workers:
        each.send_signal(signal.SIGTERM)
        each.wait()


main()
