"""Behind a pooler in transaction mode everything works that can, and what can't is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from operate_support import Consumers, actions, environment
from pooler_support import pooled
from worker_support import Place

from consumers.database.connection import Purpose, session
from consumers.dead_letters.errors import RepositoryError
from consumers.dead_letters.replays.register import ReplayRequest, begin
from consumers.dead_letters.repository import repository_at
from consumers.dead_letters.selector import Selector
from ingest.diagnostics.database import check_database
from ingest.soak.system import until
from schemas.settings import Settings


def test_workers_store_every_message_once_whatever_session_a_transaction_gets(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """Nothing is prepared, and nothing that matters is left in a session: no death, no letter."""
    place = Place(amqp_url, database_url, tmp_path)
    sent = [json.dumps(each).encode() for each in actions(300)]
    with pooled(database_url) as url, psycopg.connect(url), psycopg.connect(url):
        consumers = Consumers(environment(amqp_url, url, tmp_path, consumers=2, batch_messages=20))
        try:
            for each in range(0, 300, 30):
                place.publish(sent[each : each + 30])
            until(lambda: place.one("SELECT count(*) FROM actions") == 300, "all are stored")
            assert not consumers.events("worker died")
            assert not consumers.events("commits paused")
        finally:
            assert consumers.stop() == 0
    assert place.one("SELECT count(*) FROM dead_letters") == 0


def test_a_transaction_behind_a_pooler_has_our_settings_and_leaves_none(database_url: str) -> None:
    """A timeout or a search path that stayed in a session would be another client's."""
    purpose = Purpose("chef-ingest test", statement=7)
    with pooled(database_url) as url, session(url, purpose) as connection:
        assert connection.pooled
        with connection.transaction():
            assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
        for _ in range(10):
            connection.execute("SELECT %s::int", [1])
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_a_lone_action_behind_a_pooler_is_stored_in_our_schema(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    """A schema that the database's own search path names first may have tables of the same names."""
    place = Place(amqp_url, database_url, tmp_path)
    place.rows(
        "CREATE SCHEMA others; CREATE TABLE others.actions (LIKE public.actions INCLUDING ALL);"
        "CREATE TABLE others.action_ids (LIKE public.action_ids INCLUDING ALL);"
        f"ALTER DATABASE {psycopg.conninfo.conninfo_to_dict(database_url)['dbname']} SET search_path = others, public"
    )
    stored = "SELECT (SELECT count(*) FROM public.actions) + (SELECT count(*) FROM others.actions)"
    with pooled(database_url) as url:
        consumers = Consumers(environment(amqp_url, url, tmp_path, consumers=1))
        try:
            place.publish([json.dumps(actions(1)[0] | {"task": "update"}).encode()])
            until(lambda: place.one(stored) == 1, "it is stored")
            assert place.one("SELECT count(*) FROM public.actions") == 1
        finally:
            assert consumers.stop() == 0


def test_the_doctor_names_a_pooler_and_a_replay_is_refused_behind_it(database_url: str) -> None:
    """A replay holds a lock in its session: behind a pooler it would be somebody else's."""
    with pooled(database_url) as url:
        found = [each.finding for each in check_database(Settings(database_url=url)) if each.check == "pooler"]
        assert found
        with repository_at(url, who="test") as repository, pytest.raises(RepositoryError, match="pooler"):
            begin(repository, ReplayRequest(request="{}", selector=Selector()))
    assert not [each for each in check_database(Settings(database_url=database_url)) if each.check == "pooler"]
