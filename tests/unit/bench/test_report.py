"""What a run tells: rates beside processor time, targets with a word on the machine, pages that take it in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import age, bounds, pages, report
from bench.children import ROOT
from bench.results import Results

FACTS = {"commit": "abc", "machine": "2 x Some"}


def measured(*, busy: bool = False) -> Results:
    """Two rounds of a drain and of a load of 500 a second; of the second, `busy` says whether it was calm."""
    results = Results(lambda text: None)
    for turn in range(2):
        results.add("drain", "ours x1", 12_000.0, "msg/s", {"worker": 60.0, "RabbitMQ": 20.0, "PostgreSQL": 20.0})
        results.add("drain", "naive x1", 800.0, "msg/s", {"worker": 600.0, "RabbitMQ": 200.0, "PostgreSQL": 400.0})
        results.add("drain", "pika nothing x1", 40_000.0, "msg/s", {"worker": 30.0, "RabbitMQ": 10.0})
        results.add("drain", "COPY only x1", 30_000.0, "msg/s", {"worker": 5.0, "RabbitMQ": 0.0, "PostgreSQL": 30.0})
        results.add("drain", "decode only x1", 200_000.0, "msg/s", {"worker": 5.0})
        results.add(age.SECTION, age.insert_at(500), 1.5, "ms")
        results.add(age.SECTION, age.at(500), 500.0, "msg/s", {"worker": 500.0, "RabbitMQ": 300.0, "PostgreSQL": 200.0})
        for at, (name, _) in enumerate(age.PERCENTILES):
            results.add(age.SECTION, f"{age.at(500)} {name}", 3.0 * (at + 1), "ms")
        results.keep(results.taken(), busy=busy and turn == 1)
    return results


def told(*, busy: bool = False) -> Mapping[str, Any]:
    return report.document(FACTS, measured(busy=busy), 1.0)


def row(lines: list[str], begins: str) -> list[str]:
    """The first that begins so."""
    line = next(each for each in lines if each.startswith(f"| {begins} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_rate_stands_beside_what_each_process_used_for_a_message() -> None:
    """Worker, broker and database have a column each, empty for who has no part in it."""
    cells = row(list(report.lines(told())), "drain: ours x1")
    assert cells[:5] == ["drain: ours x1", "12,000", "12,000", "12,000", "msg/s"]
    assert cells[-5:] == ["60.0", "", "20.0", "20.0", "calm"]


def test_one_round_on_a_busy_machine_marks_the_row_and_every_target_made_of_it() -> None:
    """A target is met or missed on a calm machine only."""
    calm, busy = list(report.lines(told())), list(report.lines(told(busy=True)))
    assert row(calm, "drain, 1 process, over naive")[-1] == "yes"
    assert row(busy, "drain, 1 process, over naive")[-1] == "yes, but busy"
    assert row(busy, "drain: naive x1")[-1] == "busy 1/2"
    assert report.calmness(told()) == "calm"


def test_the_irreducible_share_is_brokers_deliver_copy_and_decode_over_all_of_ours() -> None:
    """Ten of the broker for nothing, thirty-five of COPY, five of the decode; over a hundred."""
    assert bounds.irreducible_shares(measured()) == [0.5, 0.5]


def test_the_age_is_told_in_inserts_and_the_processor_time_in_microseconds() -> None:
    """9 ms at the 99th percentile are six INSERTs of 1.5 ms."""
    targets = {each["what"]: each["median"] for each in told()["targets"]}
    assert targets["age at commit, 500/s, p99, in bare INSERTs"] == 6
    assert targets["CPU a message at 500/s, us"] == 1000


def test_what_is_out_of_reach_is_told_with_its_sum() -> None:
    """Two cores at 100 us a message do 20,000 a second, half of what doing nothing does."""
    (out,) = bounds.sums(measured(), cores=2)
    assert (out["us"], out["most"], out["share"], out["measured"]) == (100, 20_000, 0.5, 0.3)


def test_a_run_is_put_into_the_pages_and_what_people_wrote_stays(tmp_path: Path) -> None:
    """Twice gives the same as once; a load of 500 a second costs half a core."""
    for page in ("performance.md", "performance-table.md"):
        (tmp_path / page).write_text((ROOT / "docs" / page).read_text())
    pages.write(told(), tmp_path)
    once = (tmp_path / "performance.md").read_text()
    pages.write(told(), tmp_path)
    assert (tmp_path / "performance.md").read_text() == once
    assert row(once.splitlines(), "500")[:2] == ["500", "225,000"]
    assert row(once.splitlines(), "500")[-1] == "0.50"
    for page in ("performance.md", "performance-table.md"):
        before, _, after = (ROOT / "docs" / page).read_text().partition("<!-- measured -->")
        text = (tmp_path / page).read_text()
        assert text.startswith(before)
        assert text.endswith(after.partition("<!-- end of what was measured -->")[2])


def test_a_page_without_a_place_for_it_is_not_touched(tmp_path: Path) -> None:
    """Nothing is guessed about where figures belong."""
    (tmp_path / "performance.md").write_text("# A page\n")
    with pytest.raises(ValueError, match="0 blocks"):
        pages.write(told(), tmp_path)
    assert (tmp_path / "performance.md").read_text() == "# A page\n"
