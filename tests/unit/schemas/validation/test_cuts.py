"""Cuts: the same text as a plain parser would leave, in steps that don't grow with what stays."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.settings import Settings
from schemas.validation import cuts
from schemas.validation.cuts import MARK, Members
from schemas.validation.redaction import Redaction

SPACE = " \t\n\r"


class Member(NamedTuple):
    """A member of an object in a text: its name, where its key and value are, and the object's number and depth."""

    name: str
    comma: int
    key: int
    value: int
    end: int
    owner: int
    depth: int


class Reader:
    """Reads JSON one character after the other, as plainly as can be: `members` in the order of their keys."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.owners, self.members = text, 0, 0, list[Member]()
        self.value(0)

    def space(self) -> None:
        while self.text[self.at : self.at + 1] in tuple(SPACE):
            self.at += 1

    def string(self) -> str:
        start = self.at
        self.at += 1
        while self.text[self.at] != '"':
            self.at += 2 if self.text[self.at] == "\\" else 1
        self.at += 1
        return str(json.loads(self.text[start : self.at]))

    def value(self, depth: int) -> None:
        self.space()
        if self.text[self.at] == '"':
            self.string()
        elif self.text[self.at] in "[{":
            self.container(depth + 1)
        else:
            while self.text[self.at : self.at + 1] not in ("", *",]}" + SPACE):
                self.at += 1

    def container(self, depth: int) -> None:
        self.owners += 1
        owner, is_object = self.owners, self.text[self.at] == "{"
        before = self.at
        self.at += 1
        self.space()
        while self.text[self.at] not in "]}":
            if self.text[self.at] == ",":
                before, self.at = self.at, self.at + 1
            elif is_object:
                self.member(owner, before, depth)
            else:
                self.value(depth)
            self.space()
        self.at += 1

    def member(self, owner: int, comma: int, depth: int) -> None:
        key, place = self.at, len(self.members)
        name = self.string()
        self.space()
        self.at += 1
        self.space()
        value = self.at
        self.value(depth)
        self.members.insert(place, Member(name, comma, key, value, self.at, owner, depth))


def plainly(text: str, shallow: set[str], deep: set[str], drop: bool) -> str:
    """What redaction leaves of a text, by its definition."""
    cuts: list[Member] = []
    for each in Reader(text).members:
        value = text[each.value : each.end]
        stays = value in ("true", "false", "null", f'"{MARK}"') or (value[0] == '"' and set(value[1:-1]) <= {"*"})
        named = each.name in deep or (each.depth == 1 and each.name in shallow)
        if named and not stays and not (cuts and each.value < cuts[-1].end):
            cuts.append(each)
    masked = [(each.value, each.end, json.dumps(MARK)) for each in cuts]
    edits = list(dropped(text, cuts)) if drop else masked
    for start, end, instead in sorted(edits, reverse=True):
        text = text[:start] + instead + text[end:]
    return text


def dropped(text: str, cuts: list[Member]) -> Iterator[tuple[int, int, str]]:
    """Of the outermost object one list; of another object each member its own."""
    top = [each for each in cuts if each.depth == 1 and text.lstrip().startswith("{")]
    for each in cuts:
        of_one = top if each in top else [each]
        names = ",".join(text[other.key :].split('"', 1)[0] + json.dumps(other.name) for other in of_one)
        if each is of_one[0]:
            yield each.key, each.end, f'"{MARK}":[{names}]'
        else:
            before = text[: each.comma]
            yield len(before.rstrip(SPACE)), each.end, ""


NAMES = ["password", "token", "key", 'q"', "b\\s", "é", "😀", "a/b", "\n"]


def spelled(name: str) -> st.SearchStrategy[str]:
    """A name as JSON, each of its characters plain or escaped."""
    ways = [
        st.sampled_from(
            [json.dumps(each, ensure_ascii=False)[1:-1], units(each), units(each).upper().replace("U", "u")]
        )
        for each in name
    ]
    return st.tuples(*ways).map(lambda parts: '"' + "".join(parts) + '"')


def units(character: str) -> str:
    encoded = character.encode("utf-16-be")
    return "".join(f"\\u{encoded[at : at + 2].hex()}" for at in range(0, len(encoded), 2))


KEYS = st.sampled_from([*NAMES, "passwords", "pass", "", "\\", MARK]).flatmap(spelled)
GAPS = st.text(SPACE, max_size=2)
LEAVES = st.sampled_from(
    [
        "1", "-1e400", "true", "null", '""', '"***"', f'"{MARK}"', '"{redacted]"', '"x"', '"\\""', '"\\\\"', "[]", "{}",
        '"password"', '"\\"password\\":1"', '",\\"password"', '"{\\"token\\":"', '"\\\\\\"token"', '"]"', '"}"',
        "9" * 5000, "[" * 20 + '"x"' + "]" * 20, "[" + ",".join(['{"token" : 1}'] * 40) + "]",
    ]
)  # fmt: skip


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Arrays and objects of spaced parts, with any member any number of times."""
    part = st.tuples(GAPS, inner, GAPS).map("".join)
    member = st.tuples(GAPS, KEYS, GAPS, st.just(":"), part).map("".join)
    return st.lists(part, max_size=3).map(lambda parts: f"[{','.join(parts)}]") | objects(member)


def objects(member: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(member, max_size=5).map(lambda parts: "{" + ",".join(parts) + "}")


TEXTS = st.recursive(LEAVES, containers, max_leaves=15)


@settings(deadline=None)
@given(
    member=st.lists(st.tuples(GAPS, KEYS, GAPS, st.just(":"), GAPS, TEXTS, GAPS).map("".join), max_size=6),
    shallow=st.sets(st.sampled_from(NAMES), max_size=3),
    deep=st.sets(st.sampled_from(NAMES), max_size=2),
    drop=st.booleans(),
)
@example(member=['"token":1', '"token":' + "9" * 5000], shallow=set(), deep={"token"}, drop=False)
def test_text_is_cut_as_a_plain_parser_would(member: list[str], shallow: set[str], deep: set[str], drop: bool) -> None:
    """However keys are spelled, repeated and spaced, only what is named is gone, and twice is once."""
    text = "{" + ",".join(member) + "}"
    shallow, deep = ({name.strip() for name in names} - {""} for names in (shallow, deep))
    redaction = Redaction.from_settings(
        Settings(
            redact_members=",".join(shallow), redact_anywhere=",".join(deep), redact_mode="drop" if drop else "mask"
        )
    )
    if redaction is None:
        return
    cut = redaction.text(text)
    assert cut is not None
    wanted = plainly(text, shallow, deep, drop)
    assert normal(cut) == normal(wanted) if drop else cut == wanted
    assert redaction.text(cut) is cut


def normal(text: str) -> str:
    """The text with every key and string spelled one way; spaces stay."""
    reader, parts, at = json.JSONDecoder(), list[str](), 0
    while (quote := text.find('"', at)) >= 0:
        string, end = reader.raw_decode(text, quote)
        parts += text[at:quote], json.dumps(string)
        at = end
    return "".join(parts) + text[at:]


def steps(redaction: Redaction, text: str) -> int:
    """How many functions are called, of Python and of C, to redact the text."""
    count = 0

    def called(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        redaction.text(text)
    finally:
        sys.setprofile(None)
    return count


UNITS = [
    '"password":"x"', '"\\u0070assword" : 1', '"password":[1]', '"password":null', '"":1', '"k":[]',
    '"k":{"password":1}', '"k":"password"', '"k":"\\"password\\":"', '"k":["","",""]', '"passwort":1',
    '"password":1,"k":2',
    '"k":' + "[" * 20 + "]" * 20, '"password":{"a":' + "[" * 20 + "]" * 20 + "}",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("anywhere", ["", "password"])
@pytest.mark.parametrize("mode", ["mask", "drop"])
def test_the_steps_have_a_bound_in_the_length_of_a_text(unit: str, anywhere: str, mode: str) -> None:
    """Whatever is repeated in it: some calls a step, 256 steps and one more for every 400 bytes."""
    redaction = Redaction.from_settings(Settings(redact_mode=mode, redact_anywhere=anywhere))
    assert redaction is not None
    steps(redaction, f'{{"password":1,{unit}}}')  # The patterns are made when they are first needed.
    for times in (100, 20_000):
        text = '{"password":1,' + ",".join([unit] * times) + "}"
        assert steps(redaction, text) <= 20 * (256 + len(text) // 400)


@given(
    member=st.lists(st.tuples(GAPS, KEYS, GAPS, st.just(":"), GAPS, TEXTS, GAPS).map("".join), max_size=6),
    drop=st.booleans(),
)
def test_put_together_anew_it_says_the_same(member: list[str], drop: bool) -> None:
    """What takes too many steps, or is large, loses its secrets, repeated members and spaces, and nothing else."""
    text = "{" + ",".join(member) + "}"
    members = Members({"password", 'q"', "é"}, drop=drop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "EXACT_BYTES", 0)
        cut = members.top(text.encode()).decode()
        assert members.top(cut.encode()) == cut.encode()
    wanted = json.loads(text, parse_int=str)  # More digits than Python takes.
    secret = [name for name in members.names if name in wanted and tells(wanted[name])]
    if drop and secret:
        wanted = {name: value for name, value in wanted.items() if name not in secret} | {MARK: secret}
    else:
        wanted |= dict.fromkeys(secret, MARK)
    assert json.loads(cut, parse_int=str) == wanted


def tells(value: object) -> bool:
    """Whether a value is one to cut."""
    if isinstance(value, str):
        return value != MARK and not set(value) <= {"*"}
    return not isinstance(value, bool | None)


def test_more_secrets_than_can_be_cut_one_by_one_leave_nothing() -> None:
    """Where names are cut anywhere: nothing of such a text is stored, which is told in its place."""
    redaction = Redaction.from_settings(Settings(redact_anywhere="pin"))
    assert redaction is not None
    for text in ('{"a":[%s]}', "[%s]", '[[["pin"]],%s]'):
        cut = redaction.text(text % ",".join(['{"pin":4711}'] * 1000))
        assert cut is not None
        assert "4711" not in cut
        assert "more secrets than can be cut" in cut
        assert redaction.text(cut) is cut


@pytest.mark.parametrize("value", ["{},", '"",', '"password",', '{"password":1},', "[" * 50 + "]" * 50 + ",", '"\\"",'])
def test_a_large_value_costs_one_step_however_much_is_in_it(value: str) -> None:
    """What is in a value that stays, or goes, is passed over whole."""
    redaction = Redaction.from_settings(Settings())
    assert redaction is not None
    for name in ("k", "token"):
        few, many = (f'{{"password":1,"{name}":[{value * times}0]}}' for times in (50, 5000))
        steps(redaction, few)
        assert steps(redaction, many) <= steps(redaction, few)


@given(before=TEXTS, gap=GAPS, after=st.sampled_from([",", "]", "}", ', "b": 2}', "x"]))
def test_the_decoder_says_which_byte_follows_a_value(before: str, gap: str, after: str) -> None:
    """The end of a large value is read out of its message: another wording has to be seen before it is shipped."""
    data = f"[{before}]{gap}{after}".encode()
    start = len(data) - len(after.encode())  # Counted from 0; the message counts from 1.
    with pytest.raises(msgspec.DecodeError, match=rf"trailing characters \(byte {start + 1}\)$"):
        msgspec.json.decode(data, type=msgspec.Raw)
    assert cuts._end(data, memoryview(data), 0) == start - len(gap)
