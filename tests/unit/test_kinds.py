"""Laws of the kinds: one module, its schema files, nothing left over."""

import json
import re
import textwrap
from importlib.resources import files

import pytest
from jsonschema import Draft4Validator
from judge_samples import EXAMPLE, FIXTURES

from schemas.kinds import KINDS, Kind, action, by_name, run_end, run_start
from schemas.kinds.rows import ActionRow
from schemas.settings import Settings

SCHEMAS = {
    name: {file: json.loads((files("schemas.kinds") / name / file).read_text()) for file in set(kind.schemas.values())}
    for name, kind in KINDS.items()
}


def test_a_name_twice_fails():
    """Two kinds of one name are an ImportError that says which."""
    other = Kind(name="action", schemas={}, faults=lambda *_: {}, row=lambda *_: None)
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
    for field in ("http_profile", "chef_profile"):
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


def test_columns_name_what_the_schemas_name():
    """A member that a schema names has a column or is a constant; all others go to extra."""
    for schema in SCHEMAS["action"].values():
        assert schema["properties"].keys() == action.NAMED == set(ActionRow._fields) - {"extra"}
    assert SCHEMAS["run_start"]["documented.json"]["properties"].keys() == run_start.NAMED
    ends = SCHEMAS["run_end"]["documented.json"]["properties"]
    assert ends.keys() == run_end.NAMED
    assert ends["resources"]["items"]["properties"].keys() == run_end.RESOURCE_NAMED


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
            assert name == "recorded_at"
            assert re.fullmatch(wide["pattern"], "2026-11-22T03:40:00Z")
