"""Redaction: what must not be stored is cut out of a row, and marked; everything else stays to the letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec

from schemas.kinds.columns import Row, RowType, columns
from schemas.settings import Settings
from schemas.validation.cuts import MARK, Members

_ABSENT: Final = msgspec.Raw()
_NO_SECRET: Final = re.compile(r'true|false|null|"\**+"')
"""Values that tell nothing; Chef servers put stars for a user's password themselves."""
_ESCAPABLE: Final = re.compile(r'["\\/\x00-\x1f]')
"""What has a way to be spelled that `\\u` is not in."""
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f]')
_STRING: Final = msgspec.json.Decoder(str)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Redaction:
    """Cuts secrets out of rows. A row without any comes back as the same object, in less than a microsecond.

    `top` are members directly in a JSON column, `deep` members anywhere in it. A value is cut whatever it is, but
    for true, false, null and stars. Redacting twice is redacting once.
    """

    top: Members
    deep: Members | None
    sensitive: bool
    needles: tuple[str, ...]
    escape: str
    """Where it is in a text, a name may be spelled in another way than its needle."""
    names_secret: Callable[[str], bool]
    compiled: dict[RowType, Callable[[Row], Row]] = field(default_factory=dict, compare=False)
    """Row type -> what cuts rows of it, made when the first one comes."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Redaction | None:
        """What the settings ask for; None when nothing is to be cut."""
        shallow, deep = _names(settings.redact_members), _names(settings.redact_anywhere)
        if not (shallow or deep or settings.redact_sensitive):
            return None
        drop = settings.redact_mode == "drop"
        names = shallow | deep
        return cls(
            Members(names, drop=drop),
            Members(deep, drop=drop) if deep else None,
            settings.redact_sensitive,
            tuple(f'"{name}"' for name in sorted(names)),
            "\\" if any(map(_ESCAPABLE.search, names)) else "\\u",
            _lookout(shallow),
        )

    def __call__(self, row: Row) -> Row:
        """The row as it may be stored."""
        kind = type(row)
        redact = self.compiled.get(kind)
        if redact is None:
            redact = self.compiled[kind] = _compile(self, kind)
        return redact(row)

    def text(self, text: str | None) -> str | None:
        """JSON text without the secrets; the same object when there are none."""
        if text is None:
            return None
        if text.startswith('"'):
            return self._quoted(text)
        if not self.may_name(text):
            return text
        data = text.encode()
        cut = self.top.top(data)
        if self.deep is not None:
            cut = self.deep.anywhere(cut)
        return text if cut is data else cut.decode()

    def deeply(self, text: str | None) -> str | None:
        """The same for JSON text that has secrets at any depth."""
        if text is None or (self.escape not in text and not any(needle in text for needle in self.needles)):
            return text
        data = text.encode()
        cut = self.top.anywhere(data)
        return text if cut is data else cut.decode()

    def may_name(self, text: str) -> bool:
        """Whether JSON text may hold a named member where it is to be cut; when in doubt, yes."""
        if self.deep is None:
            return self.names_secret(text)
        return self.escape in text or any(needle in text for needle in self.needles)

    def _quoted(self, text: str) -> str:
        """JSON inside a JSON string, as some senders' `data` is."""
        if self.escape not in text and not any(needle[1:-1] in text for needle in self.needles):
            return text
        try:
            inner = _STRING.decode(text)
            msgspec.json.decode(inner, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeError):
            return text
        cut = text if inner.startswith('"') else self.text(inner)
        return text if cut is inner or cut is text else _ENCODE(cut).decode()


def _compile(redaction: Redaction, kind: RowType) -> Callable[[Row], Row]:
    """What cuts secrets out of rows of a type: of each column that holds JSON, and of the rows within."""
    described = columns(kind)
    json_at = [at for at, column in enumerate(described) if column.json]
    deep_at = [at for at, column in enumerate(described) if column.deep]
    rows_at = [at for at, column in enumerate(described) if column.rows is not None]
    states = [(at, f'"{MARK}"' if column.json else MARK) for at, column in enumerate(described) if column.state]
    text_of, make = redaction.text, kind._make
    may_name = redaction.names_secret if redaction.deep is None else redaction.may_name

    def changed(row: Row) -> Row:
        if states and redaction.sensitive and any(_is_sensitive(row[at]) for at in json_at):
            return make(_blotted(row, dict(states)))
        values = list(row)
        for at in json_at:
            values[at] = text_of(row[at])
        for at in deep_at:
            values[at] = redaction.deeply(values[at])
        for at in rows_at:
            values[at] = tuple(map(redaction, row[at]))
        same = all(values[at] is row[at] for at in json_at)
        for at in rows_at:
            same = same and all(new is old for new, old in zip(values[at], row[at], strict=True))
        return row if same else make(values)

    if rows_at or deep_at or (states and redaction.sensitive) or not json_at:
        return changed
    first, *others = json_at

    def usual(row: Row) -> Row:
        text = row[first]
        if text is not None and (text[0] == '"' or may_name(text)):
            return changed(row)
        for at in others:
            if row[at] is not None:
                return changed(row)
        return row  # As nearly every action.

    return usual


def _blotted(row: Row, marks: Mapping[int, str]) -> list[Any]:
    """The values of a row that is sensitive, nothing left of how things are or were."""
    return [value if at not in marks or not value else marks[at] for at, value in enumerate(row)]


def _lookout(names: frozenset[str]) -> Callable[[str], bool]:
    """Tells whether JSON text is an object with one of the members, and something in it; when in doubt, yes.

    A decoder that knows only those members passes over all the others, far faster than a needle would be found.
    """
    plain = sorted(name for name in names if not _ESCAPED.search(name))
    escaped = len(plain) < len(names)
    if not plain:
        return lambda text: escaped and "\\" in text
    fields = {f"f{number}": name for number, name in enumerate(plain)}
    shape = msgspec.defstruct("Named", [(field, msgspec.Raw, _ABSENT) for field in fields], rename=fields)
    decode = msgspec.json.Decoder(shape).decode
    found = attrgetter(*fields) if len(fields) > 1 else lambda named: (named.f0,)
    needles = [f'"{name}"' for name in fields.values()]
    nothing = (_ABSENT,) * len(needles)

    def names_secret(text: str) -> bool:
        if escaped and "\\" in text:
            return True  # No decoder is told of a name that is not spelled as it is.
        try:
            values = found(decode(text))
        except msgspec.ValidationError:
            return False  # No object.
        except msgspec.DecodeError:
            return True  # A name that is no text; who knows what else.
        if values == nothing:
            return False
        # Of a member that is there twice only the last one has been seen.
        return "\\u" in text or any(
            text.count(needle) != 1 or not _NO_SECRET.fullmatch(str(value, "utf-8"))
            for needle, value in zip(needles, values, strict=True)
            if value is not _ABSENT
        )

    return names_secret


def _names(setting: str) -> frozenset[str]:
    return frozenset(name for each in setting.split(",") if (name := each.strip())) - {MARK}


def _is_sensitive(text: str | None) -> bool:
    """Whether a resource's state, or what it says beside its state, has `"sensitive": true`."""
    if text is None or "sensitive" not in text:
        return False
    try:
        return bytes(_MEMBERS.decode(text).get("sensitive", b"")) == b"true"
    except msgspec.ValidationError:
        return False
