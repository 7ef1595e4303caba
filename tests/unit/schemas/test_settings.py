"""Settings: every fault at once, secrets masked, origins told."""

from __future__ import annotations

from dataclasses import fields

import pytest

from schemas.settings import ConfigError, Settings, load, mask_url, variable


def test_the_environment_beats_the_file_and_the_file_beats_the_default() -> None:
    """Each value tells where it came from."""
    loaded = load({"INGEST_WAIT_SECONDS": "1.5"}, file={"wait_seconds": 9, "batch_messages": 7}, file_name="c.toml")
    assert loaded.settings.wait_seconds == 1.5
    assert loaded.settings.batch_messages == 7
    assert loaded.origins["wait_seconds"] == "INGEST_WAIT_SECONDS"
    assert loaded.origins["batch_messages"] == "file c.toml"
    assert loaded.origins["listen"] == "default"


def test_every_fault_is_reported_at_once_with_its_variable() -> None:
    """An operator mends a configuration in one go."""
    environ = {"INGEST_WAIT_SECONDS": "soon", "INGEST_DURING_RUN": "maybe", "INGEST_CONSUMERS": "0", "INGEST_TYPO": "1"}
    with pytest.raises(ConfigError) as caught:
        load(environ, file={"nonsense": 1}, file_name="c.toml")
    text = str(caught.value)
    for name in (*environ, "nonsense"):
        assert name in text


@pytest.mark.parametrize("value", ["1_000", " 5", "5\n", "٥", "1e3", "0x10", "", "9" * 5000, "nan", "inf"])
def test_python_s_idea_of_a_number_is_not_ours(value: str) -> None:
    """int() and float() take spellings that nobody means."""
    with pytest.raises(ConfigError):
        load({"INGEST_BATCH_MESSAGES": value})


def test_a_secret_comes_from_a_file_and_without_its_line_break() -> None:
    """DATABASE_URL_FILE names a file; what it holds is the value."""
    loaded = load({"DATABASE_URL_FILE": "/run/secret"}, read_secret=lambda name: f"postgresql://{name}\n")
    assert loaded.settings.database_url == "postgresql:///run/secret"
    assert loaded.origins["database_url"] == "DATABASE_URL_FILE"


@pytest.mark.parametrize(
    "url",
    [
        "amqp://user:s3cret@host:5672/%2Fanalytics",
        "amqp://a:s3cret@one,amqps://b:s3cret@two:5671/x",
        "postgresql://user:s3cret@[::1]:5432/ingest?sslmode=verify-full",
        "postgresql:///ingest?password=s3cret&host=x",
        "host=x password=s3cret dbname=y",
    ],
)
def test_no_password_survives_masking(url: str) -> None:
    """What is logged or printed of a URL is enough to find the server and no more."""
    assert "s3cret" not in mask_url(url)
    assert "***" in mask_url(url)


def test_every_setting_has_help_and_a_variable_of_its_own() -> None:
    """`config` can explain each one, and no two share a variable."""
    names = [each.name for each in fields(Settings)]
    assert all(each.metadata["help"] for each in fields(Settings))
    assert len({variable(name) for name in names}) == len(names)


def test_prefetch_exceeds_the_batch() -> None:
    """One batch can be gathered while another is committed."""
    assert Settings().prefetch > Settings().batch_messages


@pytest.mark.parametrize(
    "name",
    ["INGEST_DB_SERVICE_HOST", "INGEST_DB_SERVICE_PORT", "INGEST_DB_SERVICE_PORT_AMQP", "INGEST_DB_PORT",
     "INGEST_DB_PORT_5432_TCP", "INGEST_DB_PORT_5432_TCP_ADDR"],
)  # fmt: skip
def test_what_kubernetes_says_of_a_service_is_no_setting(name: str) -> None:
    """A service `ingest-db` in the namespace stops nothing, and a typing slip is still told."""
    service = {"INGEST_DB_SERVICE_HOST": "10.0.0.1"}
    assert load({**service, name: "tcp://10.0.0.1:5432"}).settings == load({}).settings
    with pytest.raises(ConfigError, match="INGEST_DBX_PORT"):
        load({**service, "INGEST_DBX_PORT": "1"})


@pytest.mark.parametrize("names", [":", "password, :x", "\t:\n"])
def test_a_name_that_stands_between_strings_is_none_to_cut_anywhere(names: str) -> None:
    """`":"` is also what separates a member's name from its text: cutting by it would break the JSON."""
    with pytest.raises(ConfigError, match=r"INGEST_REDACT_ANYWHERE.*may not begin with a colon"):
        load({"INGEST_REDACT_ANYWHERE": names})
    assert load({"INGEST_REDACT_ANYWHERE": "a:", "INGEST_REDACT_MEMBERS": names}).settings.redact_anywhere == "a:"
