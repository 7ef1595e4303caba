"""Tokens: the file holds hashes only, every fault is told without quoting it, and scopes say what they say."""

from __future__ import annotations

import pytest

from ingest.access import tokens
from schemas.settings import ConfigError


def test_a_new_token_is_taken_and_not_in_its_line() -> None:
    """The line lets the shim know the secret again and tells nobody else what it is."""
    secret, line = tokens.new("automate", "actions, runs,organization=acme")
    assert secret not in line
    [token] = tokens.parse(f"# who\n\n{line}  # since today\n").tokens or ()
    assert (token.name, token.scopes, token.organizations) == ("automate", {"actions", "runs"}, {"acme"})
    assert tokens.find([token], secret.encode()) is token
    assert tokens.find([token], secret.encode() + b"x") is None
    assert tokens.find([], secret.encode()) is None
    assert secret != tokens.new("automate", "read")[0]


@pytest.mark.parametrize(
    ("name", "scopes", "secret"),
    [
        ("a b", "read", None), ("a\n", "read", None), ("", "read", None), ("a", "", None), ("a", "write", None),
        ("a", "organization=acme", None), ("a", "read,organization=", None), ("a", "read", "short"),
        ("a", "read", "x" * 31 + "\n"), ("a", "read", "x" * 31 + "é"),
    ],
)  # fmt: skip
def test_no_line_is_made_that_could_not_be_read(name: str, scopes: str, secret: str | None) -> None:
    """A name, scope or secret that the file or a header field can't hold is refused."""
    with pytest.raises(ConfigError):
        tokens.new(name, scopes, secret=secret)


def test_all_faults_of_a_file_are_told_by_line_and_never_quoted() -> None:
    """Somebody will put the token itself into the file; it must not go on into a log."""
    good = tokens.new("one", "read")[1]
    plain = "QuFGjdENENAT1hor4hMNje6D7DZKHAldxcufx9R_PXM"
    lines = [good, f"two {plain} read", good, "three", f"four {'a' * 64} everything", f"five {good.split()[1]} read"]
    reading = tokens.parse("\n".join(lines))
    assert [fault.split(":")[1][-1] for fault in reading.faults] == ["2", "3", "4", "5", "6"]
    assert [token.name for token in reading.tokens or ()] == ["one"]
    assert plain not in str(reading)


@pytest.mark.parametrize(
    ("fields", "secret"),
    [
        ({b"authorization": b"Bearer abc"}, b"abc"), ({b"authorization": b"bearer  abc"}, b"abc"),
        ({b"x-data-collector-token": b"abc"}, b"abc"), ({b"authorization": b"Basic abc"}, None), ({}, None),
        ({b"authorization": b"Bearer a b"}, None), ({b"authorization": b"Bearer"}, None),
        ({b"authorization": b"Bearer a", b"x-data-collector-token": b"b"}, b"a"),
        ({b"api-token": b"abc"}, b"abc"), ({b"api-token": b"a", b"x-data-collector-token": b"b"}, b"b"),
        ({b"authorization": b"Basic abc", b"api-token": b"a"}, b"a"),
    ],
)  # fmt: skip
def test_a_token_comes_in_three_ways(fields: dict[bytes, bytes], secret: bytes | None) -> None:
    """As a bearer token, as Chef's data collector sends it, or as Automate's API takes it."""
    assert tokens.presented(fields) == secret


@pytest.mark.parametrize("secret", [b'<<"s3cret">>', b'<<"">>', b"s3cret", b'"s3cret"', b'<<"s3cret">>\n'])
def test_a_token_in_erlangs_quotes_is_told_from_a_wrong_one(secret: bytes) -> None:
    """A Chef server that sends `<<"TOKEN">>` is refused, and the log says what is to be mended there."""
    why = tokens.refusal(secret)
    assert ("Erlang" in why) == (secret in (b'<<"s3cret">>', b'<<"">>'))
    assert "s3cret" not in why


@pytest.mark.parametrize("secret", [b'<<"x">>', b'<<"%s">>', b'"%s"', b"%s", b'<<"%s">>\n', b'<<"%s"'])
def test_a_token_is_misquoted_that_would_be_one_of_ours_without_the_quotes_of_erlang(secret: bytes) -> None:
    """Whoever knows no token can't make the shim say so."""
    known, line = tokens.new("chef-server", "actions")
    presented = secret.replace(b"%s", known.encode())
    assert tokens.is_misquoted(tokens.parse(line).tokens or (), presented) is (secret == b'<<"%s">>')
