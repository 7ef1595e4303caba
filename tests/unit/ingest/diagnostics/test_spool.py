"""What operators are told of the spool: what waits, what wants them, and what they can't see."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.cli.main import main
from ingest.diagnostics.audit import _in_spool
from ingest.diagnostics.doctor import examine
from ingest.diagnostics.spool import blocked_in_spool, check_spool, line_of_spool, look_at_spool
from ingest.spool.place import place
from ingest.spool.segments import ASIDE, segments
from schemas.settings import Settings
from tests.spool_support import LIMIT, action, kept


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two wait, one is set aside."""
    folder = tmp_path / "spool"
    asyncio.run(kept(folder, action(1), action(2)))
    asyncio.run(kept(folder, action(3)))
    (folder / ASIDE).mkdir()
    segments(folder)[1].rename(folder / ASIDE / "one.spool")
    return folder


def test_what_waits_is_listed_with_what_is_set_aside(folder: Path) -> None:
    """`spool list` has a row a message, the oldest first, in a table or as JSON; none where it is off."""
    environ = {"INGEST_COLLECTOR_SPOOL": str(folder)}
    found = CliRunner().invoke(main, ["spool", "list", "--output", "json"], env=environ)
    rows = json.loads(found.stdout)
    assert [row["state"] for row in rows] == ["waiting", "waiting", "aside"]
    assert {row["kind"] for row in rows} == {"action"}
    assert [row["received_at"][-3:] for row in rows] == ["20Z", "21Z", "20Z"]
    table = CliRunner().invoke(main, ["spool", "list"], env=environ)
    assert table.stdout.count("waiting") == 2
    off = CliRunner().invoke(main, ["spool", "list", "--output", "json"], env={"INGEST_COLLECTOR_SPOOL": ""})
    assert (off.exit_code, json.loads(off.stdout)) == (0, [])


def test_audit_counts_what_is_in_the_spool_as_in_flight(folder: Path) -> None:
    """What waits there, for the broker or for a person, is neither stored nor lost; and the ledger says where it is."""
    assert _in_spool(folder, LIMIT) == (3, f"; 3 of those in flight are in the spool {folder}")
    assert _in_spool(folder / "none", LIMIT) == _in_spool(None, LIMIT) == (0, "")


def test_status_and_doctor_tell_what_wants_a_person(folder: Path) -> None:
    """Since when it waits; what is set aside and a spool that is nearly full want somebody, the rest does not."""
    found = look_at_spool(folder, LIMIT)
    assert "2 waiting, the oldest since 2023-11-14T22:13:20Z" in line_of_spool(found)
    [(line, runbook)] = blocked_in_spool(found)
    assert line.startswith("1 set aside")
    assert runbook == "ChefIngestSpoolSetAside"
    assert [each.level for each in check_spool(folder, LIMIT)] == ["warning"]
    (folder / ASIDE / "one.spool").unlink()
    assert [each.level for each in check_spool(folder, LIMIT)] == ["ok"]
    [(line, runbook)] = blocked_in_spool(look_at_spool(folder, found["bytes"]))
    assert runbook == "ChefIngestSpoolWaiting"
    assert "nearly full" in line


def test_a_spool_that_is_off_or_no_folder_is_noted(tmp_path: Path) -> None:
    """Neither is a warning: it may be another machine's, or another user's, to know."""
    (tmp_path / "file").write_text("")
    assert [each.level for each in check_spool(None, LIMIT)] == ["note"]
    assert [each.level for each in check_spool(tmp_path / "file", LIMIT)] == ["note"]
    assert [each.level for each in check_spool(tmp_path / "file" / "below", LIMIT)] == ["note"]


def test_the_doctor_looks_at_the_spool(folder: Path) -> None:
    """Among its findings is the spool's."""
    away = Settings(amqp_url="amqp://127.0.0.1:1/", database_url="postgresql://127.0.0.1:1/none")
    assert "warning" in {each.level for each in examine(away, None, folder) if each.check == "spool"}


def test_the_folder_is_below_the_state_folder_unless_it_says_where(tmp_path: Path) -> None:
    """INGEST_STATE before what systemd made; an absolute one is itself; the empty one is off."""
    state, made = str(tmp_path / "state"), str(tmp_path / "made")
    settings = Settings()
    assert place(settings, {"INGEST_STATE": state, "STATE_DIRECTORY": made}) == tmp_path / "state" / "spool"
    assert place(settings, {"STATE_DIRECTORY": f"{made}:{state}"}) == tmp_path / "made" / "spool"
    assert place(Settings(collector_spool=state), {"STATE_DIRECTORY": made}) == tmp_path / "state"
    assert place(Settings(collector_spool=""), {"INGEST_STATE": state}) is None
