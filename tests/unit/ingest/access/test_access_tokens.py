"""Access tokens say who signed for them, and nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.access.access_tokens import AccessTokens, BadAccessToken, Grant, is_one
from ingest.http.requests import Signer
from schemas.settings import ConfigError, load

SECRET = "0123456789abcdef" * 2
SIGNER = Signer("rarity", "f" * 64)


class Clock:
    at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def test_a_token_is_read_by_whoever_has_the_secret_until_it_ends() -> None:
    """Two shims with one secret are one; without a secret each is its own."""
    clock = Clock()
    token = AccessTokens(SECRET, 60, clock).make(SIGNER, "acme").encode()
    other = AccessTokens(SECRET, 60, clock)
    assert is_one(token)
    assert other.read(token) == Grant("rarity", "f" * 64, "acme", 1_000_060)
    for stranger in (AccessTokens("", 60, clock), AccessTokens(SECRET[::-1], 60, clock)):
        with pytest.raises(BadAccessToken, match="another secret"):
            stranger.read(token)
    clock.at += 60
    with pytest.raises(BadAccessToken, match="has ended"):
        other.read(token)


@given(st.data())
def test_a_token_with_one_character_changed_is_none(data: st.DataObject) -> None:
    """Wherever it is."""
    made = AccessTokens(SECRET, 60, Clock())
    token = made.make(SIGNER, None)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AbZ09-_.=").filter(lambda each: each != token[place]))
    with pytest.raises(BadAccessToken):
        made.read((token[:place] + other + token[place + 1 :]).encode())


def test_a_secret_that_could_be_tried_out_is_refused() -> None:
    """The setting says what a good one is like."""
    with pytest.raises(ConfigError, match="32 characters"):
        load({"INGEST_ACCESS_TOKEN_SECRET": "secret"})
    assert load({"INGEST_ACCESS_TOKEN_SECRET": SECRET}).settings.access_token_secret == SECRET
