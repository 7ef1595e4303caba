"""Redaction: what must not be stored is cut out of a row, and marked; everything else stays to the letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from schemas.kinds.columns import Row, RowType, columns
from schemas.settings import Settings

MARK: Final = "[redacted]"
"""Stands where a value was (mask), or names what was taken away: `"[redacted]":["password"]` (drop)."""

_ABSENT: Final = msgspec.Raw()
_MARKED: Final = f'"{MARK}"'
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]:,]', re.DOTALL)
_NO_SECRET: Final = re.compile(r'true|false|null|"\**+"')
"""Values that tell nothing; Chef servers put stars for a user's password themselves."""
_STRING: Final = msgspec.json.Decoder(str)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode


class _Cut(NamedTuple):
    """A member to cut: where its object begins, the comma or brace before it, its key, its value's span."""

    owner: int
    separator: int
    key: int
    value: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Redaction:
    """Cuts secrets out of rows. A row without any comes back as the same object, in less than a microsecond.

    `shallow` names members directly in a JSON column, `deep` members anywhere in it. A value is cut whatever
    it is, but for true, false, null and stars. Redacting twice is redacting once.
    """

    shallow: frozenset[str]
    deep: frozenset[str]
    sensitive: bool
    drop: bool
    needles: tuple[str, ...]
    names_secret: Callable[[str], bool]
    compiled: dict[RowType, Callable[[Row], Row]] = field(default_factory=dict, compare=False)
    """Row type -> what cuts rows of it, made when the first one comes."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Redaction | None:
        """What the settings ask for; None when nothing is to be cut."""
        shallow, deep = _names(settings.redact_members), _names(settings.redact_anywhere)
        if not (shallow or deep or settings.redact_sensitive):
            return None
        needles = tuple(f'"{name}"' for name in sorted(shallow | deep))
        drop = settings.redact_mode == "drop"
        return cls(shallow, deep, settings.redact_sensitive, drop, needles, _lookout(shallow))

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
        cuts = list(_cuts(text, self.shallow, self.deep))
        return _spliced(text, self._edits(cuts)) if cuts else text

    def may_name(self, text: str) -> bool:
        """Whether JSON text may hold a named member where it is to be cut; when in doubt, yes."""
        if not self.deep:
            return self.names_secret(text)
        for needle in self.needles:
            if needle in text:
                return True
        # A name may be spelled with escapes: then the text is read to know.
        return "\\" in text and "\\u" in text

    def _quoted(self, text: str) -> str:
        """JSON inside a JSON string, as some senders' `data` is."""
        if not any(needle[1:-1] in text for needle in self.needles) and "\\u" not in text:
            return text
        try:
            inner = _STRING.decode(text)
            msgspec.json.decode(inner, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeError):
            return text
        cut = text if inner.startswith('"') else self.text(inner)
        return text if cut is inner or cut is text else _ENCODE(cut).decode()

    def _edits(self, cuts: list[_Cut]) -> Iterator[tuple[int, int, str]]:
        if not self.drop:
            yield from ((cut.value, cut.end, _MARKED) for cut in cuts)
            return
        dropped: dict[int, list[_Cut]] = {}
        for cut in cuts:
            dropped.setdefault(cut.owner, []).append(cut)
        for first, *others in dropped.values():
            names = _ENCODE([first.name, *(each.name for each in others)]).decode()
            yield first.key, first.end, f"{_MARKED}:{names}"
            # What follows a member of its own object has a comma before it.
            yield from ((each.separator, each.end, "") for each in others)


def _compile(redaction: Redaction, kind: RowType) -> Callable[[Row], Row]:
    """What cuts secrets out of rows of a type: of each column that holds JSON, and of the rows within."""
    described = columns(kind)
    json_at = [at for at, column in enumerate(described) if column.json]
    rows_at = [at for at, column in enumerate(described) if column.rows is not None]
    states = [(at, _MARKED if column.json else MARK) for at, column in enumerate(described) if column.state]
    text_of, make = redaction.text, kind._make
    may_name = redaction.may_name if redaction.deep else redaction.names_secret

    def changed(row: Row) -> Row:
        if states and redaction.sensitive and any(_is_sensitive(row[at]) for at in json_at):
            return make(_blotted(row, dict(states)))
        values = list(row)
        for at in json_at:
            values[at] = text_of(row[at])
        for at in rows_at:
            values[at] = tuple(map(redaction, row[at]))
        same = all(values[at] is row[at] for at in json_at)
        for at in rows_at:
            same = same and all(new is old for new, old in zip(values[at], row[at], strict=True))
        return row if same else make(values)

    if rows_at or (states and redaction.sensitive) or not json_at:
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
    fields = {f"f{number}": name for number, name in enumerate(sorted(names))}
    shape = msgspec.defstruct("Named", [(field, msgspec.Raw, _ABSENT) for field in fields], rename=fields)
    decode = msgspec.json.Decoder(shape).decode
    found = attrgetter(*fields) if len(fields) > 1 else lambda named: (getattr(named, "f0", _ABSENT),)
    needles = [f'"{name}"' for name in fields.values()]
    nothing = (_ABSENT,) * len(needles)

    def names_secret(text: str) -> bool:
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
    return frozenset(name for each in setting.split(",") if (name := each.strip()))


def _cuts(text: str, shallow: frozenset[str], deep: frozenset[str]) -> Iterator[_Cut]:
    """The members of valid JSON text that are to be cut, outermost only, in the order of their values."""
    owners: list[int] = []
    separator, string, cut, depth = 0, "", None, 0
    string_at = 0
    for token in _TOKEN.finditer(text):
        at = token.start()
        sign = text[at]
        if sign == '"':
            string, string_at = token[0], at
        elif sign == ":":
            name = _unescaped(string) if "\\" in string else string[1:-1]
            if cut is None and (name in deep or (len(owners) == 1 and name in shallow)):
                cut, depth = _Cut(owners[-1], separator, string_at, at + 1, 0, name), len(owners)
        elif sign in "{[":
            owners.append(at)
            separator = at
        else:
            if cut is not None and len(owners) == depth:
                value = text[cut.value : at]
                start, end = at - len(value.lstrip()), cut.value + len(value.rstrip())
                if not _NO_SECRET.fullmatch(text, start, end) and text[start:end] != _MARKED and cut.name != MARK:
                    yield cut._replace(value=start, end=end)
                cut = None
            if sign == ",":
                separator = at
            else:
                owners.pop()


def _unescaped(string: str) -> str:
    try:
        return _STRING.decode(string)
    except (msgspec.DecodeError, UnicodeError):
        # A lone surrogate, which no setting can name.
        return string[1:-1]


def _spliced(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    pieces: list[str] = []
    position = 0
    for start, end, instead in sorted(edits):
        pieces += text[position:start], instead
        position = end
    return "".join(pieces) + text[position:]


def _is_sensitive(text: str | None) -> bool:
    """Whether a resource's state, or what it says beside its state, has `"sensitive": true`."""
    if text is None or "sensitive" not in text:
        return False
    try:
        return bytes(_MEMBERS.decode(text).get("sensitive", b"")) == b"true"
    except msgspec.ValidationError:
        return False
