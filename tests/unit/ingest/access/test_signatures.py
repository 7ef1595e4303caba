"""Chef's signed requests: what real clients sent verifies, and what anybody changed of it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st
from signed_requests import FIXTURES, Signed, captured, new_key, sign

from ingest.access.signatures import BadSignature, claim

CAPTURED = captured()
KEY = load_pem_public_key((FIXTURES / "client_public_key.pem").read_bytes())
assert isinstance(KEY, RSAPublicKey)
OWN = new_key()
PATH = "/organizations/acme/reports/nodes/web1/runs"
OURS = {
    version: sign(OWN, version, "POST", PATH, b'{"a": 1}', user="web1", time="2026-11-22T03:36:31Z")
    for version in ("1.0", "1.1", "1.3")
}
SIGNED = {name: (request, KEY) for name, request in CAPTURED.items()} | {
    f"ours {version}": (request, OWN.public_key()) for version, request in OURS.items()
}
SIGNED_FIELDS = (b"x-ops-sign", b"x-ops-userid", b"x-ops-timestamp", b"x-ops-content-hash", b"x-ops-authorization-")


def verify(request: Signed, key: RSAPublicKey) -> None:
    found = claim(request.method, request.path, request.fields)
    found.verify(key)
    found.check_body(request.body)


@pytest.mark.parametrize("name", SIGNED)
def test_a_signed_request_verifies(name: str) -> None:
    """Every captured request of every client verifies with the key beside it, and so does each version."""
    verify(*SIGNED[name])


def test_the_captured_ones_are_there() -> None:
    """The law above is about real clients of both old versions, and about gzipped bodies."""
    versions = {request.fields[b"x-ops-sign"] for request in CAPTURED.values()}
    assert versions >= {b"algorithm=sha1;version=1.0;", b"algorithm=sha1;version=1.1;"}
    assert any(request.body.startswith(b"\x1f\x8b") for request in CAPTURED.values())


def test_another_key_verifies_nothing() -> None:
    """A signature is of one key only."""
    other = new_key().public_key()
    for request, _ in SIGNED.values():
        with pytest.raises(BadSignature):
            verify(request, other)


def parts(request: Signed) -> Iterator[tuple[str, bytes]]:
    yield "method", request.method.encode()
    yield "path", request.path
    yield "body", request.body
    for name, value in request.fields.items():
        signed = name == b"x-ops-server-api-version" and b"1.3" in request.fields[b"x-ops-sign"]
        if signed or name.startswith(SIGNED_FIELDS):
            yield name.decode(), value


@given(data=st.data())
def test_a_flipped_bit_anywhere_fails(data: st.DataObject) -> None:
    """One bit of method, path, body or any signed header field, in any request: it is no longer the signer's."""
    request, key = SIGNED[data.draw(st.sampled_from(sorted(SIGNED)))]
    name, value = data.draw(st.sampled_from([part for part in parts(request) if part[1]]))
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature):
        verify(with_part(request, name, bytes(changed)), key)


def with_part(request: Signed, name: str, value: bytes) -> Signed:
    if name == "method":
        return replace(request, method=value.decode("latin-1"))
    if name in ("path", "body"):
        return replace(request, **{name: value})
    return replace(request, fields=request.fields | {name.encode(): value})


@pytest.mark.parametrize("name", SIGNED)
def test_every_bit_of_the_short_fields_counts(name: str) -> None:
    """Nothing is left to chance where a lenient reader would leave bits unread: each one, in turn."""
    request, key = SIGNED[name]
    for field in (b"x-ops-sign", b"x-ops-timestamp", b"x-ops-authorization-6", b"x-ops-content-hash"):
        value = request.fields[field]
        for bit in range(len(value) * 8):
            changed = bytearray(value)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(BadSignature):
                verify(with_part(request, field.decode(), bytes(changed)), key)


@pytest.mark.parametrize("name", SIGNED)
def test_a_missing_field_fails(name: str) -> None:
    """No signed field can be left out."""
    request, key = SIGNED[name]
    for field in request.fields:
        if field.startswith(SIGNED_FIELDS):
            rest = {each: value for each, value in request.fields.items() if each != field}
            with pytest.raises(BadSignature):
                verify(replace(request, fields=rest), key)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"x-ops-sign", b""), (b"x-ops-sign", b"version=1.2"), (b"x-ops-sign", b"algorithm=sha256;version=1.1;"),
        (b"x-ops-sign", b"algorithm=sha1;version=1.3;"), (b"x-ops-sign", b"algorithm=md5;version=1.0;"),
        (b"x-ops-timestamp", b"2026-13-45T03:36:31Z"), (b"x-ops-timestamp", b"2026-11-22T03:36:31Z\n"),
        (b"x-ops-userid", b"\xff"), (b"x-ops-authorization-1", b"*"), (b"x-ops-authorization-1", b"A" * 10_000),
        (b"x-ops-authorization-7", b"AAAA"),
    ],
)  # fmt: skip
def test_what_can_t_be_read_fails(field: bytes, value: bytes) -> None:
    """A malformed field is refused in words, never with another exception."""
    for request in OURS.values():
        with pytest.raises(BadSignature):
            verify(replace(request, fields=request.fields | {field: value}), OWN.public_key())


def test_endless_signatures_are_not_gathered() -> None:
    """The number of X-Ops-Authorization lines is bounded."""
    lines = {b"x-ops-authorization-%d" % number: b"AAAA" for number in range(1, 200)}
    with pytest.raises(BadSignature, match="too long"):
        claim("POST", PATH.encode(), OURS["1.0"].fields | lines)


def test_the_path_is_signed_as_clients_write_it() -> None:
    """Doubled slashes and one at the end are not part of what clients sign."""
    request = OURS["1.1"]
    verify(replace(request, path=b"//organizations/acme//reports/nodes/web1/runs/"), OWN.public_key())


def test_the_algorithm_may_be_left_to_the_version() -> None:
    """Version 1.0 came without naming its algorithm."""
    request = OURS["1.0"]
    verify(replace(request, fields=request.fields | {b"x-ops-sign": b"version=1.0"}), OWN.public_key())
