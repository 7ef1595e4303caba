"""Loads SQL by name from .sql files: `-- name: x` starts a statement that ends with the next name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType


def load(package: str, file: str) -> Mapping[str, str]:
    """Name -> SQL of `package`'s file `sql/<file>`. Raises ValueError when a name comes twice."""
    return parse(resources.files(package).joinpath("sql", file).read_text("utf-8"))


def parse(text: str) -> Mapping[str, str]:
    """Name -> SQL, without comments and the closing semicolon."""
    pieces = re.split(r"^-- name: ([a-z_]+)\n", text, flags=re.MULTILINE)
    names, bodies = pieces[1::2], pieces[2::2]
    if len(set(names)) < len(names):
        raise ValueError(f"a statement is named twice: {sorted(names)}")
    return MappingProxyType({name: _clean(body) for name, body in zip(names, bodies, strict=True)})


def _clean(body: str) -> str:
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
