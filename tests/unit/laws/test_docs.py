"""What the documentation shows can be typed, set and followed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from rooms import ROOT

from ingest.cli import main
from ingest.cli.access import keys
from ingest.cli.dead import edit, letters, replay
from ingest.cli.screen.tables import whole
from schemas import labels
from schemas.doors import WORDS
from schemas.kinds import KINDS
from schemas.settings import RESERVED, Settings, variable
from schemas.verdict import OUTCOMES

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("SECURITY.md")),
    ROOT / "docs" / "llms.txt",
]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ENDS = re.compile(r"[|;&)#<>]|\s-- ")
"""Where a command of ours is over in a line of shell."""


SUBSTITUTED = re.compile(r"\$\((?!chef-ingest)[^()]*\)")


def typed(text: str) -> Iterator[str]:
    """Every line of shell that a page shows, and every piece of inline code."""
    for language, block in FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console":
            yield from (line.strip().removeprefix("$ ") for line in lines if line.strip().startswith("$ "))
        elif language in ("sh", "bash", "shell"):
            yield from (line.strip() for line in lines if not line.strip().startswith("#"))
    yield from INLINE.findall(FENCE.sub("", text))


def ours(text: str) -> Iterator[list[str]]:
    """The words behind each `chef-ingest` that is typed."""
    for line in typed(text):
        while (shorter := SUBSTITUTED.sub("X", line)) != line:
            line = shorter
        for part in re.split(r"(?:^|[\s(/])chef-ingest(?= )", line)[1:]:
            words = ENDS.split(part)[0].strip().rstrip("\"'`,.:")
            yield shlex.split(words) if words.count('"') % 2 == words.count("'") % 2 == 0 else words.split()


def fault(words: list[str]) -> str | None:
    """What can't be typed about a command line, or None."""
    command: click.Command = main
    options = {name for each in main.params for name in each.opts} | {"--help", "-h"}
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-[0-9N]+", word):
            if word.split("=")[0] not in options:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            if "..." in word or word.isupper():
                continue
            if word not in command.commands:
                return f"{command.name} has no command {word}"
            command = command.commands[word]
            options |= {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_shown_can_be_typed(page: Path) -> None:
    """Each `chef-ingest ...` names commands and options that exist."""
    for words in ours(page.read_text()):
        assert fault(words) is None, (words, fault(words))


def test_the_test_sees_what_can_not_be_typed() -> None:
    """A command or an option that does not exist is found, in a block and in the text."""
    page = "```sh\nchef-ingest dead replya --yes\n```\nand `chef-ingest scale --now`, `chef-ingest dead list`"
    assert [fault(words) for words in ours(page)] == ["dead has no command replya", "scale has no option --now", None]


HEADERS = {
    "dead list": [letters.LIST_COLUMNS], "dead groups": [letters.GROUP_COLUMNS], "dead edit": [edit.EDIT_COLUMNS],
    "dead replay": [replay.PREVIEW_COLUMNS, replay.RESULT_COLUMNS], "keys sync": [keys.COLUMNS],
}  # fmt: skip
"""The columns that a command's tables show: any of several."""


def samples(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of ours whose columns are known, with the lines that a page says it prints."""
    for language, block in FENCE.findall(text):
        if language == "console":
            for shown in re.split(r"^\$ ", block, flags=re.M)[1:]:
                typed, *printed = shown.splitlines()
                for name in HEADERS:
                    if f"chef-ingest {name} " in f"{typed} " and printed:
                        yield name, printed


def without_header(text: str) -> list[tuple[str, list[str]]]:
    """The samples in which no line is the header that their command prints."""
    return [
        (name, printed)
        for name, printed in samples(text)
        if not any(whole([], columns).split() == line.split() for columns in HEADERS[name] for line in printed)
    ]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_sample_of_a_table_has_the_commands_own_header(page: Path) -> None:
    """Whoever compares their terminal with a page finds the same columns, in the same order."""
    assert without_header(page.read_text()) == []


def test_the_test_sees_a_sample_that_is_stale() -> None:
    """Columns in another order are another header."""
    page = "```console\n$ chef-ingest dead replay --yes\nreplay 1\noutcome  became  letters\n```"
    assert [name for name, _ in without_header(page)] == ["dead replay"]
    assert without_header(page.replace("became  letters", "letters  became")) == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_make_target_shown_exists(page: Path) -> None:
    """Each `make ...` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    shown = {found for line in typed(page.read_text()) for found in re.findall(r"^make ([a-z-]+)", line)}
    assert shown <= targets


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_variable_shown_is_a_setting(page: Path) -> None:
    """Each INGEST_... is read by the program."""
    known = {variable(each.name) for each in fields(Settings)} | RESERVED
    shown = {name.removesuffix("_FILE") for name in re.findall(r"\bINGEST_[A-Z_]*[A-Z]\b", page.read_text())}
    assert shown <= known | {name.removesuffix("_FILE") for name in known}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links lead to files that are there, and to headings that are in them."""
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", FENCE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_page_knows_a_machine(page: Path) -> None:
    """No home folder and no scratch folder of whoever wrote it."""
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp)/", page.read_text())


def test_each_row_of_threats_is_held_by_tests_that_are_there() -> None:
    """What the page says is held by nobody is a wish; a test that is renamed or gone no longer holds it."""
    page = (ROOT / "docs" / "explanation" / "threats.md").read_text()
    _, _, *rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) > 30
    for row in rows:
        *_, held, _ = row.split(" |")
        named = re.findall(r"`(\S+)`", held)
        assert named, row
        assert [each for each in named if not (ROOT / "tests" / each).is_file()] == [], row


PLACE = re.compile(r"^(?:\.ci|bench|consumers|deploy|docs|ingest|schemas|tests)/[\w./@-]+$|^[A-Z]+\.md$|^Makefile$")


def places(text: str) -> Iterator[str]:
    """Files and folders of ours that a page names in code; a NAME to be filled in stands for what is there."""
    for line in typed(text):
        yield from (word for word in line.split("#")[0].split() if PLACE.match(word))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_named_is_there(page: Path) -> None:
    """Who follows a page finds the file that it sends them to."""
    assert [each for each in places(page.read_text()) if not any(ROOT.glob(each.replace("NAME", "*")))] == []


def test_the_test_sees_a_file_that_is_not_there() -> None:
    """In a block of shell and in the text, and a folder as well."""
    page = (
        "```sh\npytest tests/unit tests/none.py # tests/never\n```\n`schemas/kinds/NAME/__init__.py`, `consumers/sql/`"
    )
    missing = [each for each in places(page) if not any(ROOT.glob(each.replace("NAME", "*")))]
    assert missing == ["tests/none.py", "consumers/sql/"]


def test_there_is_a_recipe_for_whatever_is_added() -> None:
    """Five things are added to this house, each in numbered steps or in so many words."""
    headings = re.findall(r"^## (.+)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    assert [heading for heading in headings if heading.startswith("Add ")] == [
        "Add a kind of message",
        "Add a door",
        "Add a field, with a migration",
        "Add a command",
        "Add a metric or a setting",
    ]


def test_the_glossary_has_what_metrics_and_letters_say() -> None:
    """Stages, triggers, fates and doors are words of the glossary."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    words = {*labels.STAGES, *labels.TRIGGERS, *OUTCOMES, *WORDS, *(kind.name for kind in KINDS.values())}
    assert {word for word in words if not re.search(rf"(?<!\w){word}(?!\w)", page)} == set()


RIDDLES = re.compile(
    r"express (?:lane|way)|\b(?:desks?|fleets?|autopilot|outlook|vitals|takings|specimens?|menu|prospects?)\b|rehears",
    re.I,
)
"""Names that only their inventors understood: each has a word of the glossary instead."""


def test_no_page_and_no_comment_speaks_in_riddles() -> None:
    """One meaning, one word: what has been renamed is gone from what people read, too."""
    folders = ("ingest", "consumers", "schemas", "tests", "bench", "deploy")
    read = (each for folder in folders for each in (ROOT / folder).rglob("*"))
    texts = [*PAGES, *(each for each in read if each.suffix in (".py", ".sql", ".toml", ".md"))]
    spoken = {}
    for path in texts:
        found = RIDDLES.findall(path.read_text())
        if found and path != Path(__file__) and "fixtures" not in path.parts:
            spoken[str(path.relative_to(ROOT))] = found
    assert spoken == {}
