"""Cuts: named members are taken out of JSON text by compiled patterns, and every other byte stays as it was sent.

A body must not cost more than a few times its decoding, so nothing here steps from token to token: one match passes
over all the members that stay, and Python acts only where a member goes, or where a value is too large for a
pattern and the decoder has to find its end. The steps are counted: text that asks for more of them than its length
allows, which is made for that, is put together anew by the decoder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Final, NamedTuple

import msgspec

MARK: Final = "[redacted]"
"""Stands where a value was (mask), or names what was taken away: `"[redacted]":["password"]` (drop)."""

_MARKED: Final = f'"{MARK}"'.encode()
_TOO_MANY: Final = b'"more secrets than can be cut one by one"'
_DECODE: Final = msgspec.json.Decoder(msgspec.Raw).decode
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ENCODE: Final = msgspec.json.Encoder().encode
_TRAILING: Final = re.compile(r"trailing characters \(byte ([0-9]+)\)")
_WHITE: Final = b" \t\n\r"

# All possessive: neither a long string nor many escapes or members pile up backtracking state.
_SPACE: Final = rb"[ \t\n\r]*+"
_COLON: Final = _SPACE + b":" + _SPACE
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SECRET: Final = rb'(?!(?:true|false|null|"\**+"|"\[redacted\]")[ \t\n\r]*+[,}])'
"""A value that tells something; Chef servers put stars for a user's password themselves."""
EXACT_BYTES: Final = 1_000_000
"""An object up to this size keeps what is between its members, too."""
_FREE_STEPS, _STEP_BYTES, _MEMBER_BYTES = 256, 400, 8
"""A step costs as much as decoding 400 bytes, or four times that; the shortest secret member has eight."""
_TELLS_NOTHING: Final = re.compile(rb'true|false|null|"\**+"|"\[redacted\]"').fullmatch
_TOKENS, _LEVELS = 32, 16
"""What a container holds that a pattern passes over; the end of a larger one costs a call of the decoder."""


def _small() -> bytes:
    """The pattern of any scalar, and of a container of few tokens and levels."""
    container, within = b"", rb'[^"\[\]{}]++|' + _STRING
    for _ in range(_LEVELS):
        container = rb"[\[{](?:%b%b){0,%d}+[\]}]" % (within, b"|" + container if container else b"", _TOKENS)
    return rb'(?:[^"\[\]{},: \t\n\r]++|%b|%b)' % (_STRING, container)


_SMALL: Final = _small()


class _Patterns(NamedTuple):
    """What finds the members of some names.

    `step` passes over members of an object that stay: to one to cut (its key and its small value are groups 1 and
    2, all such that follow it without another between them group 3), or to a value that is not small. `run` takes
    group 3 apart. `small` and `large` find a member in any text by its value's size; group 1 is what is replaced
    when dropping, and before the mark when masking.
    """

    step: re.Pattern[bytes]
    run: re.Pattern[bytes]
    small: list[re.Pattern[bytes]]
    large: list[re.Pattern[bytes]]


class _Costly(Exception):
    """More steps than a text of that length may take."""


class Members:
    """The members of some names, and how they are taken out of valid JSON text (UTF-8).

    A value is masked or, with `drop`, its member gives way to a list of names. Where nothing is to be cut the same
    object comes back. Raises RecursionError for a value that the decoder can't follow.
    """

    def __init__(self, names: Iterable[str], *, drop: bool) -> None:
        self.drop = drop
        self.names = sorted(names)

    def top(self, data: bytes) -> bytes:
        """Without those directly in the object that the text is; any other text stays.

        Of an object that is large, or takes too many steps, each value stays to the letter, but no space between its
        members, and of a repeated member only the last.
        """
        if len(data) <= EXACT_BYTES:
            with suppress(_Costly):
                return self._dropped(data) if self.drop else self._masked(data)
        return self._anew(data) if data.lstrip(_WHITE).startswith(b"{") else data

    def anywhere(self, data: bytes) -> bytes:
        """Without those of any object, however deep; of dropped ones each leaves its name in its place.

        Of text that takes too many steps nothing is left.
        """
        patterns = self._patterns(data)
        most = _FREE_STEPS + len(data) // _STEP_BYTES
        try:
            for small in patterns.small:
                parts = small.split(data, most + 1)
                if len(parts) > 2 * most:
                    raise _Costly
                if len(parts) > 1:
                    parts[1::2] = map(self._instead, parts[1::2])
                    data = b"".join(parts)
            for large in patterns.large:
                data = self._without_large(data, large, most)
        except _Costly:
            told = _MARKED + b":" + _TOO_MANY
            return b"{%b}" % told if data.lstrip(_WHITE).startswith(b"{") else b"[{%b}]" % told
        return data

    def _anew(self, data: bytes) -> bytes:
        """The object of its members as the decoder finds them."""
        members: dict[str, bytes | msgspec.Raw] = dict(_MEMBERS(data))
        secrets = [name for name in self.names if name in members and not _TELLS_NOTHING(bytes(members[name]))]
        if self.drop and secrets:
            members = {name: value for name, value in members.items() if name not in secrets}
            members[MARK] = _ENCODE(secrets)
        else:
            members |= dict.fromkeys(secrets, _MARKED)
        anew = b"{%b}" % b",".join(map(b":".join, zip(map(_ENCODE, members), members.values(), strict=True)))
        return data if anew == data else anew

    def _patterns(self, data: bytes) -> _Patterns:
        # Without a backslash there is one way to spell a name, which is the fastest to look for.
        return self._anyhow if b"\\" in data else self._spelled

    @cached_property
    def _spelled(self) -> _Patterns:
        return _patterns([b'"' + _literally(name) + b'"' for name in self.names], self.drop)

    @cached_property
    def _anyhow(self) -> _Patterns:
        # An escaped quote begins no key.
        return _patterns([rb'"(?<!\\")(?:%b)"' % b"|".join(_anyhow(name) for name in self.names)], self.drop)

    def _instead(self, head: bytes) -> bytes:
        return _listed([head]) if self.drop else head + _MARKED

    def _without_large(self, data: bytes, large: re.Pattern[bytes], most: int) -> bytes:
        pieces: list[bytes] = []
        kept = 0
        view = memoryview(data)
        while found := large.search(data, kept):
            if len(pieces) > 2 * most:
                raise _Costly
            pieces += data[kept : found.start()], self._instead(found[1])
            kept = _end(data, view, found.end())
        return b"".join([*pieces, data[kept:]]) if pieces else data

    def _masked(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        kept = 0
        run = self._patterns(data).run
        for _, start, end, run_end in self._hits(data):
            pieces.append(data[kept:start])
            if end != run_end:
                pieces += run.findall(data, end, run_end)
            kept = run_end
        return _MARKED.join([*pieces, data[kept:]]) if pieces else data

    def _dropped(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        keys: list[bytes] = []
        kept = 0
        run = self._patterns(data).run
        for found, _, end, run_end in self._hits(data):
            if keys:
                # The first one leaves the list in its place; another one takes the comma before it along.
                pieces.append(data[kept : data.rindex(b",", kept, found.start(1))].rstrip(_WHITE))
            else:
                pieces.append(data[: found.start(1)])
            keys.append(found[1])
            if end != run_end:
                keys += run.findall(data, end, run_end)
            kept = run_end
        return b"".join([pieces[0], _listed(keys), *pieces[1:], data[kept:]]) if keys else data

    def _hits(self, data: bytes) -> Iterator[tuple[re.Match[bytes], int, int, int]]:
        """Each first member to cut directly in an object: its match, its value's span, the end of its run.

        Raises _Costly.
        """
        left = _FREE_STEPS + len(data) // _STEP_BYTES
        step = self._patterns(data).step.match
        view = memoryview(data)
        position = 0
        while found := step(data, position):
            start, end = found.span(2)
            position = found.end()
            if start == end:
                start, position = position, _end(data, view, position)
                end = position
            # A member of the run begins with a comma and has bytes; a long value is not many members.
            left -= 1 + min((position - end) // _MEMBER_BYTES, data.count(b",", end, position))
            if left < 0:
                raise _Costly
            if found.lastindex is not None:
                yield found, start, end, position


def _patterns(keys: list[bytes], drop: bool) -> _Patterns:
    key = b"(?:" + b"|".join(keys) + b")"
    secret = key + _COLON + _SECRET
    kept = rb"[{,]" + _SPACE + rb"(?!" + secret + rb")" + _STRING + _COLON + _SMALL + _SPACE
    run = _SPACE + b"," + _SPACE + secret + _SMALL
    step = rb"%b(?:%b)*+[{,]%b(?:(%b)%b(%b|)((?:%b)*+)|%b)" % (
        *(_SPACE, kept, _SPACE),
        *(key, _COLON, _SMALL, run),
        _STRING + _COLON,
    )
    head = b"(%b)" + _COLON if drop else b"(%b" + _COLON + b")"
    before = b"" if drop else _SPACE + b"," + _SPACE
    return _Patterns(
        _compiled(step),
        _compiled(head % (before + key) + _SMALL),
        [_compiled(head % each + _SECRET + _SMALL) for each in keys],
        [_compiled(head % each + rb"(?=[\[{])") for each in keys],
    )


def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def _end(data: bytes, view: memoryview, start: int) -> int:
    """The end of the container that begins at `start` in an object: only the decoder looks at each byte of it."""
    try:
        _DECODE(view[start:])
    except msgspec.DecodeError as error:
        # It says which byte, from 1 on, follows the value and the space after it.
        found = _TRAILING.search(str(error))
        if found is None:
            raise
        return data.rindex(b"}" if data[start] == ord("{") else b"]", start, start + int(found[1]) - 1) + 1
    raise ValueError("a value in an object has its end after it")


def _listed(keys: list[bytes]) -> bytes:
    return _MARKED + b":[" + b",".join(keys) + b"]"


def _literally(name: str) -> bytes:
    """The pattern of a name as it is spelled with no more escapes than it needs."""
    return re.escape(json.dumps(name, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass"))


def _anyhow(name: str) -> bytes:
    """The pattern of a name, each character of it spelled in any way JSON has."""
    return b"".join(rb"(?:%b)" % b"|".join(_spellings(each)) for each in name)


def _spellings(character: str) -> Iterator[bytes]:
    yield _literally(character)
    units = character.encode("utf-16-be", "surrogatepass").hex(" ", 2).split()
    yield b"".join(rb"\\u(?i:%b)" % unit.encode() for unit in units)
    if character == "/":
        yield rb"\\/"
