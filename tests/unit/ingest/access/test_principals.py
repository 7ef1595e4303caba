"""Who a request is of, by the keys in the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed_requests import new_key

from ingest.access.keys import KeyFolder, fingerprint
from ingest.access.principals import Proof, user
from ingest.access.signatures import BadSignature


def put(folder: Path, name: str, key: RSAPrivateKey) -> None:
    path = folder / f"{name}.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def holding(key: RSAPrivateKey, tried: list[str]) -> Proof:
    """Somebody with this key; which ones were tried is kept."""

    def proves(other: RSAPublicKey) -> bool:
        tried.append(fingerprint(other))
        return tried[-1] == fingerprint(key.public_key())

    return proves


def test_a_member_is_one_of_the_organizations_in_which_that_key_lies(tmp_path: Path) -> None:
    """One key in many is tried once; another person of the same name elsewhere is another person."""
    own, other = new_key(), new_key()
    for organization in ("acme", "canterlot", "ponyville"):
        put(tmp_path, f"{organization}/users/rarity", own)
    put(tmp_path, "umbrella/users/rarity", other)
    put(tmp_path, "lonely/rarity", own)  # A client.
    keys, tried = KeyFolder(tmp_path), list[str]()
    found, key = user(keys, None, "rarity", holding(own, tried))
    assert found.organizations == {"acme", "canterlot", "ponyville"}
    assert (found.scopes, found.node) == ({"read"}, None)
    assert fingerprint(key) == fingerprint(own.public_key())
    assert len(tried) <= 2
    assert user(keys, "acme", "rarity", holding(own, []))[0].organizations == {"acme"}
    for organization, name in (("umbrella", "rarity"), ("lonely", "rarity"), ("acme", "spike"), (None, "spike")):
        with pytest.raises(BadSignature):
            user(keys, organization, name, holding(own, []))


def test_a_user_of_no_organization_is_more_than_a_member(tmp_path: Path) -> None:
    """Whose own key it is; a member's key under the same name makes nobody more."""
    own, member = new_key(), new_key()
    put(tmp_path, "pivotal", own)
    put(tmp_path, "acme/users/pivotal", member)
    keys = KeyFolder(tmp_path)
    assert user(keys, "acme", "pivotal", holding(own, []))[0].scopes == {"actions", "read"}
    assert user(keys, "acme", "pivotal", holding(own, []))[0].organizations == frozenset()
    assert user(keys, "acme", "pivotal", holding(member, []))[0].organizations == {"acme"}
    assert user(keys, None, "pivotal", holding(member, []))[0].scopes == {"read"}


@pytest.mark.parametrize("name", ["../pivotal", "users/pivotal", "..", "", "a" * 300, ".pivotal", "pivotal\n"])
def test_no_name_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    """Neither a user's nor an organization's."""
    key = new_key()
    put(tmp_path, "pivotal", key)
    put(tmp_path, "acme/users/pivotal", key)
    keys = KeyFolder(tmp_path)
    assert keys.member("acme", name) == ()
    assert keys.member(name, "pivotal") == ()
    assert keys.organizations() == ["acme"]
