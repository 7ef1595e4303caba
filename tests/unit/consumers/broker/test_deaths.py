"""Why the broker gave a message up, in words."""

from __future__ import annotations

import pytest

from consumers.broker.deaths import broker_death


@pytest.mark.parametrize(
    ("reason", "stage", "words"),
    [("delivery_limit", "crash", "died"), ("maxlen", "broker", "good message"), ("expired", "broker", "good message")],
)
def test_the_brokers_reason_is_told_in_words(reason: str, stage: str, words: str) -> None:
    """A letter off the dead letter queue says what the broker did, and whether the message is good."""
    verdict = broker_death({"x-death": [{"reason": reason, "queue": "ingest.actions", "count": 1}]})
    assert (verdict.stage, verdict.reason) == (stage, reason)
    assert words in verdict.details["message"]


@pytest.mark.parametrize("headers", [{}, {"x-death": []}, {"x-death": "?"}, {"x-death": [7]}])
def test_any_x_death_gives_a_verdict(headers: dict[str, object]) -> None:
    """What stands in a header is never trusted to have its documented form."""
    assert broker_death(headers).reason == "unknown"
