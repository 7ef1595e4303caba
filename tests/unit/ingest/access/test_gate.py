"""The gate: where the shim may listen, whose keys it knows, and settings that don't fit together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed_requests import new_key

from ingest.access.exposure import check_exposure, is_loopback
from ingest.access.guard import check_settings
from ingest.access.keys import KeyFolder
from schemas.settings import ConfigError, Settings

PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "127.9.9.9:0", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"])
def test_this_machine_is_loopback(listen: str) -> None:
    """Nobody else reaches it, so nobody need be asked."""
    assert is_loopback(listen)
    check_exposure(Settings(listen=listen))


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80", "10.1.2.3:80", "localhost.evil:80", "box:80", "127.1:80"])
def test_other_addresses_demand_authentication(listen: str) -> None:
    """Beyond this machine somebody is asked who they are, or the operator has said that nobody is."""
    with pytest.raises(ConfigError, match="--insecure-no-auth"):
        check_exposure(Settings(listen=listen))
    for settings in (
        Settings(listen=listen, auth="token"),
        Settings(listen=listen, tls_client_ca="ca.pem"),
        Settings(listen=listen, insecure_no_auth=True),
    ):
        check_exposure(settings)


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        (Settings(auth="token"), "INGEST_TOKENS_FILE"),
        (Settings(auth="signature"), "INGEST_CLIENT_KEYS"),
        (Settings(auth="any", tokens_file="t"), "INGEST_CLIENT_KEYS"),
        (Settings(auth="signature", client_keys="/no/such/folder"), "INGEST_CLIENT_KEYS"),
        (Settings(tokens_file="t"), "INGEST_AUTH"),
        (Settings(client_keys="."), "INGEST_AUTH"),
    ],
)
def test_half_an_authentication_is_a_fault(settings: Settings, variable: str) -> None:
    """Tokens or keys that nobody would ask for are as wrong as asking for those that are not there."""
    with pytest.raises(ConfigError, match=variable):
        check_settings(settings)


def test_a_key_counts_from_the_moment_it_is_there_until_it_is_gone(tmp_path: Path) -> None:
    """Keys are exchanged and withdrawn without a restart, and a client's is never taken for a user's."""
    folder = KeyFolder(tmp_path)
    assert folder.find("acme", "web1") == ()
    (tmp_path / "acme").mkdir()
    path = tmp_path / "acme" / "web1.pem"
    for key in (new_key().public_key(), new_key().public_key()):
        path.write_bytes(key.public_bytes(*PEM))
        os.utime(path, ns=(1, key.public_numbers().n % 10**15))
        found = folder.find("acme", "web1")
        assert [each.public_numbers() for each in found] == [key.public_numbers()]
        assert folder.find("acme", "web1") == found
    assert folder.find(None, "web1") == ()
    path.unlink()
    assert folder.find("acme", "web1") == ()


@pytest.mark.parametrize("name", ["../web1", "..", ".", "a/b", "", "web1\0", "web1\n", "é", ".hidden", "x" * 300])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    """Whatever a client calls itself, no other file is opened."""
    (tmp_path / "keys" / "acme").mkdir(parents=True)
    pem = new_key().public_key().public_bytes(*PEM)
    for place in ("web1.pem", "keys/web1.pem", "keys/acme/web1.pem", "keys/.hidden.pem"):
        (tmp_path / place).write_bytes(pem)
    folder = KeyFolder(tmp_path / "keys")
    assert folder.find("acme", name) == ()
    assert folder.find(name, "web1") == ()
    assert folder.find(None, name) == ()


def test_files_that_are_no_rsa_keys_are_no_keys(tmp_path: Path) -> None:
    """A wrong file refuses one client and stops nothing."""
    curve = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*PEM)
    for name, content in (("text", b"no key"), ("curve", curve), ("large", b"x" * 100_000), ("empty", b"")):
        (tmp_path / f"{name}.pem").write_bytes(content)
        assert KeyFolder(tmp_path).find(None, name) == ()


def test_few_keys_are_kept_in_memory(tmp_path: Path) -> None:
    """A pool larger than the bound is served, its keys being read again."""
    folder = KeyFolder(tmp_path, most=2)
    pem = new_key().public_key().public_bytes(*PEM)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.pem").write_bytes(pem)
    first = folder.find(None, "a")
    assert folder.find(None, "b")
    assert folder.find(None, "c")
    assert folder.find(None, "a")[0] is not first[0]
