"""Redaction: what must not be stored is cut out of a row, and marked; everything else stays to the letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from schemas.kinds.rows import ActionRow, ResourceRow, Row, RunEndRow
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
        if type(row) is ActionRow:
            data, extra = row.data, row.extra
            if extra is None and data is not None and data[0] != '"' and not self._may_name(data):
                return row  # As nearly every action.
            data, extra = self.text(data), self.text(extra)
            return row if data is row.data and extra is row.extra else row._replace(data=data, extra=extra)
        if isinstance(row, RunEndRow):
            return self._run_end(row)
        extra = self.text(row.extra)
        return row if extra is row.extra else row._replace(extra=extra)

    def text(self, text: str | None) -> str | None:
        """JSON text without the secrets; the same object when there are none."""
        if text is None:
            return None
        if text.startswith('"'):
            return self._quoted(text)
        if not self._may_name(text):
            return text
        cuts = list(_cuts(text, self.shallow, self.deep))
        return _spliced(text, self._edits(cuts)) if cuts else text

    def _may_name(self, text: str) -> bool:
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

    def _run_end(self, row: RunEndRow) -> RunEndRow:
        data, extra = self.text(row.data) or row.data, self.text(row.extra)
        resources = tuple(self._resource(each) for each in row.resources)
        changed = any(new is not old for new, old in zip(resources, row.resources, strict=True))
        if data is row.data and extra is row.extra and not changed:
            return row
        return row._replace(data=data, extra=extra, resources=resources)

    def _resource(self, row: ResourceRow) -> ResourceRow:
        if self.sensitive and any(_is_sensitive(text) for text in (row.extra, row.before, row.after)):
            before, after = (None if each is None else _MARKED for each in (row.before, row.after))
            return row._replace(before=before, after=after, delta=MARK if row.delta else row.delta)
        before, after, extra = self.text(row.before), self.text(row.after), self.text(row.extra)
        if before is row.before and after is row.after and extra is row.extra:
            return row
        return row._replace(before=before, after=after, extra=extra)

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
