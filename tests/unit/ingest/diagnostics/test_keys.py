"""The doctor names the keys of clients that nobody is trusted by, before their clients come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ingest.diagnostics import doctor
from ingest.diagnostics.finding import Finding
from schemas.settings import Settings


def found(monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: Any) -> list[Finding]:
    """What the doctor finds of keys; broker and database are not asked."""
    for name in ("check_broker", "check_database", "check_management"):
        monkeypatch.setattr(doctor, name, lambda *_: ())
    at = Settings(client_keys=str(folder), **({"auth": "signature"} | settings))
    return [each for each in doctor.examine(at) if each.check == "keys"]


def put(path: Path, bits: int) -> None:
    path.parent.mkdir(exist_ok=True)
    key = rsa.generate_private_key(65537, bits).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_the_doctor_names_each_short_key_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of clients, members and users, by file and bits; what is no key is no short one; nothing where nobody signs."""
    put(tmp_path / "acme/web1.pem", 2048)
    (tmp_path / "acme/web3.pem").write_text("no key")
    assert [each.level for each in found(monkeypatch, tmp_path)] == ["ok"]
    put(tmp_path / "acme/web2.pem", 1024)
    put(tmp_path / "acme/users/rarity.pem", 1024)
    put(tmp_path / "pivotal.pem", 1024)
    [finding] = found(monkeypatch, tmp_path)
    assert finding.level == "warning"
    short = ("acme/users/rarity.pem", "acme/web2.pem", "pivotal.pem")
    assert finding.finding.endswith(": " + ", ".join(f"{each} (1024 bits)" for each in short))
    assert finding.remedy
    assert found(monkeypatch, tmp_path, auth="token") == []


def test_a_folder_of_keys_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It must not look like one without short keys."""
    [finding] = found(monkeypatch, tmp_path / "unmounted")
    assert (finding.level, "unmounted" in finding.finding) == ("note", True)
