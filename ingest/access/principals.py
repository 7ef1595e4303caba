"""Who a request is of, by the keys: a client of an organization, a member of some, or a user of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ingest.access import signatures
from ingest.access.keys import KeyFolder, fingerprint

Proof = Callable[[RSAPublicKey], bool]
"""Whether what a request carries is borne out by this key."""


class NoKey(signatures.BadSignature):
    """There is no key for who signed; the message says so, for the log."""


READS: Final = frozenset({"read"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `organizations` empty: any; `node`: a client, which speaks for itself only."""

    name: str
    scopes: frozenset[str]
    organizations: frozenset[str] = frozenset()
    node: str | None = None


def client(keys: KeyFolder, organization: str | None, claim: signatures.Claim) -> Principal | None:
    """The client of this organization that signed; None where there is none of that name, or a user of the same name
    did. Raises KeysUnavailable."""
    if organization is None or not any(map(signed(claim), keys.find(organization, claim.user))):
        return None
    name = f"client {organization}/{claim.user}"
    return Principal(name, frozenset({"runs", "read"}), frozenset({organization}), claim.user)


def user(keys: KeyFolder, organization: str | None, name: str, proves: Proof) -> tuple[Principal, RSAPublicKey]:
    """The user of this name whose key proves it: of no organization and so of any, or a member, who may only read.

    Without an organization, a member is one of all that have such a key. Raises BadSignature (NoKey), KeysUnavailable.
    """
    found = keys.find(None, name)
    for key in filter(proves, found):
        return Principal(f"user {name}", frozenset({"actions", "read"})), key
    asked = keys.organizations() if organization is None else [organization]
    held = [(each, fingerprint(key), key) for each in asked for key in keys.member(each, name)]
    if not found and not held:
        raise NoKey("no key for this name")
    # One key in a hundred organizations is tried once.
    for proven, key in {of: key for _, of, key in held}.items():
        if proves(key):
            own = frozenset(each for each, of, _ in held if of == proven)
            return Principal(f"user {name}", READS, own), key
    raise signatures.BadSignature("the signature is not of this key")


def signed(claim: signatures.Claim) -> Proof:
    """Whether a key made the signature."""

    def proves(key: RSAPublicKey) -> bool:
        try:
            claim.verify(key)
        except signatures.BadSignature:
            return False
        return True

    return proves
