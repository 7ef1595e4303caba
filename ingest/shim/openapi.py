"""The shim's OpenAPI document: written by hand, a part beside each door, with the message schemas themselves put in."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from ingest.http.answers import Answer
from ingest.http.requests import Request
from schemas.doors import DOORS
from schemas.kinds import KINDS

_EVERYWHERE: Final = {"405": "Method", "414": "PathTooLong", "431": "HeaderTooLarge", "500": "Fault"}
"""Status -> the component that describes it, of what any route may answer; the files say what is a route's own."""
_POSTED: Final = {
    "202": "Queued", "400": "Invalid", "401": "Unauthenticated", "403": "Forbidden", "404": "NotFound", "408": "Slow",
    "409": "Conflict", "413": "TooLarge", "415": "Coding", "503": "Unavailable",
}  # fmt: skip
"""The same, of what any POST at a door may be answered."""
_PARTS: Final = (("ingest.reads", "reporting"), ("ingest.reads", "analytics"), ("ingest.access", "access_tokens"))
"""What is no door's."""
_NOT_OPENAPI: Final = ("$schema", "id", "title")


def document() -> dict[str, Any]:
    """The document, OpenAPI 3.1; a new object each time."""
    found = _read("ingest.shim", "openapi")
    found["info"]["version"] = version("chef-ingest")
    for door in DOORS:
        if door.posts:
            _add(found, {"paths": _read("ingest.shim.doors", door.name)})
        for path in door.posts:
            _answer(found["paths"][path]["post"], _POSTED)
    for package, name in _PARTS:
        _add(found, _read(package, name))
    for kind in KINDS.values():
        schema = json.loads((files("schemas.kinds") / kind.name / kind.schemas["documented"]).read_text("utf-8"))
        for member in _NOT_OPENAPI:
            schema.pop(member, None)
        if "dependencies" in schema:
            schema["dependentRequired"] = schema.pop("dependencies")  # Its name since draft 2019-09.
        found["components"]["schemas"][component(kind.name)] = schema
    for path in found["paths"].values():
        for method in path.keys() & {"get", "post"}:
            _answer(path[method], _EVERYWHERE)
        if "get" in path:
            path["head"] = _head(path["get"])
    return found


def _read(package: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files(package) / f"{name}.json").read_text("utf-8"))
    return found


def _add(document: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Put a part of a document into it, whatever both have of one path or component."""
    for name, value in part.items():
        if isinstance(value, Mapping):
            _add(document.setdefault(name, {}), value)
        else:
            document[name] = value


def component(kind: str) -> str:
    """A kind's name as that of its schema in the document: `run_start` is RunStart."""
    return kind.title().replace("_", "")


def _answer(operation: dict[str, Any], answers: Mapping[str, str]) -> None:
    """Add these answers to those that the operation has described as its own."""
    for status, component in answers.items():
        operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{component}"})


def _head(get: dict[str, Any]) -> dict[str, Any]:
    """HEAD answers as GET does, without a body."""
    operation = {"operationId": "head" + get["operationId"].removeprefix("get"), "summary": get["summary"]}
    return operation | {
        "parameters": get["parameters"],
        "responses": {status: {"description": "As for GET, without a body"} for status in get["responses"]},
    }


def handler() -> Callable[[Request], Awaitable[Answer]]:
    """Answers with the document, which is made once."""
    answer = Answer(200, json.dumps(document()).encode() + b"\n", (), "openapi")

    async def get(request: Request) -> Answer:
        return answer

    return get
