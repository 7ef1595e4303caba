"""The kinds of messages, one folder a kind, found by walking them: `kind` says what a kind is, `formats` reads its
times, ids and names, `rows` are what they become, `extra` keeps what the columns do not hold, `report` is what run
reports share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from schemas.kinds.kind import Document, Kind

__all__ = ["KINDS", "Document", "Kind", "by_name"]


def by_name(kinds: Iterable[Kind]) -> Mapping[str, Kind]:
    """The kinds by name. Raises ImportError when two have the same."""
    found: dict[str, Kind] = {}
    for kind in kinds:
        if found.setdefault(kind.name, kind) is not kind:
            raise ImportError(f"two modules in {__name__} define the kind {kind.name!r}; rename one")
    return MappingProxyType(found)


KINDS: Final = by_name(
    import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__) if module.ispkg
)
