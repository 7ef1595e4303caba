"""A failpoint is for tests only."""

from __future__ import annotations

import pytest

from consumers.runtime.failpoints import Failpoint, from_environment
from schemas.settings import ConfigError


def test_a_failpoint_needs_the_test_hooks_and_a_known_moment() -> None:
    """Production settings can't kill a worker on purpose."""
    assert from_environment({}) == Failpoint()
    hooks = {"INGEST_TEST_HOOKS": "1"}
    assert from_environment(hooks | {"INGEST_FAILPOINT": "judge:boom"}) == Failpoint("judge", b"boom")
    with pytest.raises(ConfigError, match="tests only"):
        from_environment({"INGEST_FAILPOINT": "judge"})
    with pytest.raises(ConfigError, match="none of"):
        from_environment(hooks | {"INGEST_FAILPOINT": "nowhere"})
