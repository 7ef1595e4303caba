"""Laws of the kinds: one module, its schema files, nothing left over."""

import json
import re
import textwrap
from dataclasses import replace
from importlib.resources import files

import pytest
from jsonschema import Draft4Validator
from judge_samples import EXAMPLE, FIXTURES

from consumers.store.tables import writers
from schemas.doors import PROFILES
from schemas.kinds import KINDS, by_name
from schemas.kinds.action import ActionRow, document
from schemas.kinds.columns import columns, members
from schemas.kinds.kind import location
from schemas.settings import Settings
from schemas.topology import ACTIONS, QUEUES, TOPOLOGY
from schemas.validation.judge import Judge
from schemas.validation.validator import compile_validator

SCHEMAS = {
    name: {file: json.loads((files("schemas.kinds") / name / file).read_text()) for file in set(kind.schemas.values())}
    for name, kind in KINDS.items()
}


def test_a_name_twice_fails():
    """Two kinds of one name are an ImportError that says which."""
    other = replace(KINDS["action"], schemas={})
    with pytest.raises(ImportError, match="'action'"):
        by_name([KINDS["action"], other])


def test_folders_and_schema_files_are_one_to_one():
    """Every folder is named for its kind, every schema file in it is one that the kind names, and none is missing."""
    folders = [each for each in (files("schemas") / "kinds").iterdir() if (each / "__init__.py").is_file()]
    assert {each.name for each in folders} == set(KINDS)
    for each in folders:
        on_disk = {file.name for file in each.iterdir() if file.name.endswith(".json")}
        assert on_disk == set(SCHEMAS[each.name])


def test_every_profile_that_can_be_set_has_a_schema():
    """Whatever profile the settings offer, each kind has a schema for it."""
    for field in PROFILES.values():
        choices = Settings.__dataclass_fields__[field].metadata["choices"]
        for kind in KINDS.values():
            assert set(kind.schemas) == set(choices)


def test_schemas_are_draft_04():
    """Every schema file is valid draft-04 and says so."""
    for kind in SCHEMAS.values():
        for schema in kind.values():
            assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"
            Draft4Validator.check_schema(schema)


def test_opaque_members_are_constrained_by_type_alone():
    """What the judge does not read, no schema speaks about beyond its type."""
    for name, kind in KINDS.items():
        for schema in SCHEMAS[name].values():
            for member in kind.opaque:
                assert schema["properties"][member].keys() <= {"type", "description"}
            for array, opaque in kind.elements.items():
                for member in opaque:
                    described = schema["properties"][array]["items"]["properties"][member]
                    assert described.keys() <= {"type", "description"}


def test_columns_hold_what_the_schemas_name():
    """A member that a schema names has a column or is what its kind is known by, or is read where a column's own is
    missing; all others go to extra."""
    stand_ins = {"collector_start": {"id"}, "collector_end": {"id"}}
    for name, kind in KINDS.items():
        described = [schema["properties"] for schema in SCHEMAS[name].values()]
        beside = kind.sign.keys() - members(kind.row) | stand_ins.get(name, set())
        assert set().union(*described) - beside == members(kind.row)
        for column in columns(kind.row):
            if column.rows is not None:
                for properties in described:
                    assert properties[column.member]["items"]["properties"].keys() == members(column.rows)


def test_every_row_has_a_column_for_what_no_other_holds():
    """Members that the schema does not name are kept, in each row and in the rows within."""
    rows = [kind.row for kind in KINDS.values()]
    within = [each.rows for row in rows for each in columns(row) if each.rows]
    for row in rows + within:
        assert [column.type for column in columns(row) if column.extra] == ["json"]


def test_the_fast_path_is_on_wherever_a_kind_has_one():
    """In every profile that can be set: a schema that turns it off would cost a worker half its speed, unseen."""
    for name, kind in KINDS.items():
        for profile in kind.schemas:
            assert (compile_validator(kind, profile).fastpath is None) == (kind.fastpath is None), (name, profile)
    assert Judge.from_settings(Settings()).slow == []


def test_a_fast_path_that_is_off_is_told():
    """Who starts a worker with a schema that has no fast path can say so."""
    judge = Judge.from_settings(Settings())
    off = {("action", "http"): replace(judge.validators["action", "http"], fastpath=None)}
    assert replace(judge, validators=judge.validators | off).slow == [("action", "http")]


def test_a_path_is_made_of_the_rows_own_columns():
    """Where a message is read is said by fields of its row, and nothing else fills it in."""
    for kind in (each for each in KINDS.values() if each.tables):
        row = kind.row(*(f".{field}" for field in kind.row._fields))
        assert location(kind)(row) == re.sub(r"\{([a-z_]+)\}", r".\1", kind.path)


def test_an_action_is_told_with_every_member_that_has_a_column() -> None:
    """Also with one that Chef servers do not write."""
    row = ActionRow(*(None if column.extra else '"x"' for column in columns(ActionRow)))
    assert json.loads(document(row)).keys() == members(ActionRow)


def test_one_table_of_a_kind_is_counted():
    """A message leaves one trace for the ledger, or it would be missing, or be there twice."""
    unseen = {"unknown", "node_ping"}  # Always a letter; always merged into what is known of its node.
    for kind in KINDS.values():
        assert len([table for table in kind.tables if table.counted]) == (kind.name not in unseen)


def test_every_kind_is_written_by_one_table():
    """A kind that no table writes, or two do, stops a worker before it takes anything."""
    assert sorted(kind for table in writers(Settings()) for kind in table.writes) == sorted(set(KINDS) - {"unknown"})


def test_every_kind_is_bound_to_its_queue():
    """What is published with a kind's routing key goes to the queue that the kind says, and to no other."""
    for kind in KINDS.values():
        first = kind.routing_key.partition(".")[0] + ".#"
        queues = {each.queue for each in TOPOLOGY.bindings if (each.exchange, each.routing_key) == ("ingest", first)}
        assert queues == {kind.queue}
        assert kind.queue in {each.name for each in TOPOLOGY.queues}
    assert ACTIONS in QUEUES


def test_the_documented_schema_is_the_documentations_to_the_letter():
    """The documented schema and the example are the code blocks of Chef's API page, character for character."""
    page = (FIXTURES / "post_messages.rst").read_text(encoding="utf-8")
    blocks = re.findall(r"\.\. code-block:: javascript\n\n((?:   .*\n|\s*\n)+)", page)
    schema, example, _ = (textwrap.dedent(block).strip() + "\n" for block in blocks)
    assert (files("schemas.kinds") / "action" / "documented.json").read_text(encoding="utf-8") == schema
    assert EXAMPLE.decode() == example


def test_wire_widens_documented_and_never_narrows_it():
    """Where the two profiles differ, wire allows more."""
    documented, wire = SCHEMAS["action"]["documented.json"], SCHEMAS["action"]["wire.json"]
    assert set(wire["required"]) < set(documented["required"])
    assert wire["dependencies"] == documented["dependencies"]
    for name, narrow in documented["properties"].items():
        wide = wire["properties"][name]
        assert set(wide.get("enum", narrow.get("enum", []))) >= set(narrow.get("enum", []))
        assert wide.get("type", narrow["type"]) == narrow["type"]
        if wide.get("pattern") not in (None, narrow.get("pattern")):
            sample = {"recorded_at": "2026-11-22T03:40:00Z", "id": "B576b4a2-7b2a-43b8-b385-d6281e9a139e"}[name]
            assert re.fullmatch(wide["pattern"], sample)


@pytest.mark.parametrize(
    ("name", "part"),
    [("a%41", "a%2541"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), (".", "%2E"), ("...", "..."), ("ü\r\n", "%C3%BC%0D%0A")],
)
def test_a_name_is_one_part_of_a_path(name, part):
    """None adds a part, a step up or a line to it."""
    kind = KINDS["run_start"]
    row = kind.row._make(["r"] * len(kind.row._fields))._replace(organization=name, node_name=name)
    assert location(kind)(row) == f"/organizations/{part}/reports/nodes/{part}/runs/r"
