"""A file of keys holds PEM or what knife prints; what has ended, or can't be told to hold, lets nobody in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed_requests import new_key, sign

from ingest.access.keys import KeyFolder, parse
from ingest.access.principals import client
from ingest.access.signatures import claim

PUBLIC = new_key().public_key()
PEM = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ENDS = 1_798_761_600
"""2027-01-01T00:00:00Z."""


def knife(**changed: Any) -> dict[str, Any]:
    """What `knife client key show web1 default -F json` prints."""
    return {"name": "default", "public_key": PEM, "expiration_date": "infinity", "client": "web1"} | changed


@pytest.mark.parametrize("told", [knife(), [knife()], {"name": "web1", "public_key": PEM}])
def test_what_knife_prints_is_a_key(tmp_path: Path, told: Any) -> None:
    """As it is, redirected into the file; a list of such too, and a client as servers of old told of it."""
    (tmp_path / "web1.pem").write_text(json.dumps(told, indent=2))
    assert [key.public_numbers() for key in KeyFolder(tmp_path).find(None, "web1")] == [PUBLIC.public_numbers()]


def test_a_key_counts_until_it_ends(tmp_path: Path) -> None:
    """As its Chef server has it, without the file being touched."""
    (tmp_path / "web1.pem").write_text(json.dumps(knife(expiration_date="2027-01-01T00:00:00Z")))
    times = iter([ENDS - 1, ENDS])
    keys = KeyFolder(tmp_path, now=lambda: next(times))
    assert len(keys.find(None, "web1")) == 1
    assert keys.find(None, "web1") == ()


@pytest.mark.parametrize(
    "told",
    [
        {}, [], [[]], {"public_key": 1}, knife(public_key="none"), knife(public_key="\ud800"),
        knife(expiration_date="soon"), knife(expiration_date=1), knife(expiration_date="2027-13-01T00:00:00Z"),
        knife(expiration_date="2027-01-01T00:00:00Z\n"), [knife(), knife(public_key="")],
    ],
)  # fmt: skip
def test_json_that_tells_of_no_key_is_none(told: Any) -> None:
    """One fault, and nothing in the file is believed."""
    with pytest.raises(ValueError, match=r"."):
        parse(json.dumps(told).encode())


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b'{"public_key": ' + b"9" * 10_000 + b"}", b"{\xff}"])
def test_broken_json_is_told_as_such(content: bytes) -> None:
    """However it is broken."""
    with pytest.raises(ValueError, match="JSON"):
        parse(content)


def test_whichever_of_a_client_s_keys_signed_it_is_let_in(tmp_path: Path) -> None:
    """A key is exchanged by having two for a while; a third one is a stranger's."""
    old, new, strange = new_key(), new_key(), new_key()
    (tmp_path / "acme").mkdir()
    pems = [each.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for each in (old, new)]
    (tmp_path / "acme" / "web1.pem").write_bytes(b"the old one\n" + pems[0] + b"the new one\n" + pems[1])
    let_in = []
    for key in (old, new, strange):
        request = sign(key, "1.3", "GET", "/x", b"", user="web1", time="2026-11-26T10:00:00Z")
        claimed = claim(request.method, request.path, request.fields)
        let_in.append(client(KeyFolder(tmp_path), "acme", claimed) is not None)
    assert let_in == [True, True, False]
