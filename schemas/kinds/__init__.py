"""The kinds of messages, one folder a kind, found by walking them: `kind` says what a kind is, `columns` with which
types its row says its columns, `formats` reads its times, ids and names, `extra` keeps what the columns do not hold,
`stray` keeps bytes that are no text, `report` is what run reports share, `collected` what comes to a data collector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, Final

from schemas.kinds.kind import Document, Kind, Table

__all__ = ["KINDS", "WAITING", "Document", "Kind", "Table", "by_name", "kind_of", "tables"]


def by_name(kinds: Iterable[Kind]) -> Mapping[str, Kind]:
    """The kinds by name, in the order in which a batch writes them. Raises ImportError when two have the same."""
    found: dict[str, Kind] = {}
    for kind in sorted(kinds, key=lambda kind: (kind.rank, kind.name)):
        if found.setdefault(kind.name, kind) is not kind:
            raise ImportError(f"two modules in {__name__} define the kind {kind.name!r}; rename one")
    return MappingProxyType(found)


KINDS: Final = by_name(
    import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__) if module.ispkg
)


def kind_of(members: Mapping[str, Any]) -> Kind:
    """The kind that a body is likely of, by the members that kinds are known by."""
    # The one that asks for most is the surest; one that asks for nothing is what is left.
    surest = sorted(KINDS.values(), key=lambda kind: -len(kind.sign))
    return next(kind for kind in surest if kind.tables and _has_sign(kind, members))


def _has_sign(kind: Kind, members: Mapping[str, Any]) -> bool:
    return all(name in members and value in (None, members[name]) for name, value in kind.sign.items())


WAITING: Final = frozenset(kind.name for kind in KINDS.values() if kind.waits)
"""The kinds whose messages may wait for what they need."""


def tables(kinds: Iterable[Kind] = KINDS.values()) -> Mapping[str, Table]:
    """The tables by name, each with all the rights that its kinds need."""
    found: dict[str, Table] = {}
    for table in sorted((table for kind in kinds for table in kind.tables), key=lambda table: table.name):
        known = found.setdefault(table.name, table)
        rights = dict.fromkeys(f"{known.rights}, {table.rights}".split(", "))
        found[table.name] = replace(known, rights=", ".join(rights))
    return MappingProxyType(found)
