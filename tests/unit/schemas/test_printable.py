"""What a stranger wrote steers no terminal, and what can't be written stops nobody: the text, the streams, the log."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from rooms import ROOT

from ingest.cli.output import Guarded, OutputFailed, console, print_rows, say
from ingest.telemetry import logs
from ingest.telemetry.stream import LogStream
from schemas.printable import printable, to_ascii
from schemas.settings import Settings
from tests.patience import LONG

STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2066\u200f\u2028\ud800\r\nletter 1: resolved\t"


def steers(text: str, allowed: str = "") -> set[str]:
    return {each for each in text if unicodedata.category(each) in STEERING and each not in allowed}


@given(st.text(), st.booleans())
def test_nothing_that_steers_is_left_and_nothing_else_is_touched(text: str, lines: bool) -> None:
    """Controls, marks and breaks are escaped, each as JSON has it; letters of any script stay as they are."""
    shown = printable(text, lines=lines)
    assert not steers(shown, "\n\t" if lines else "")
    assert printable(shown, lines=lines) == shown
    if not steers(text):
        assert shown == text


def test_escaped_text_in_json_is_json_still() -> None:
    """An escape is spelt as JSON spells it."""
    document = json.dumps({"name": EVIL}, ensure_ascii=False)
    assert json.loads(printable(document)) == {"name": EVIL}
    assert printable("Müller & Söhne ノード 😀\u00a0") == "Müller & Söhne ノード 😀\u00a0"


@pytest.mark.parametrize("output", ["table", "json", "ndjson"])
def test_rows_of_a_stranger_steer_nothing(output: str) -> None:
    """In a table each row stays one line; JSON is told to the letter."""
    raw = io.TextIOWrapper(io.BytesIO(), "utf-8")
    stream = Guarded(raw, strict=True)
    print_rows([{"a": EVIL, "b": [EVIL], "c": {EVIL: EVIL}}], output, stream)  # type: ignore[arg-type]
    stream.flush()
    raw.seek(0)
    shown = raw.read()
    assert not steers(shown, "\n")
    if output == "table":
        assert len(shown.splitlines()) == 2
    else:
        read = json.loads(shown)
        assert (read if output == "ndjson" else read[0])["a"] == EVIL


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252", "shift_jis"])
def test_what_a_terminal_can_t_encode_is_escaped(encoding: str) -> None:
    """No traceback, whatever the locale; what it can encode is itself."""
    raw = io.BytesIO()
    stream = Guarded(io.TextIOWrapper(raw, encoding), strict=True)
    print_rows([{"name": "é ノード 😀 \ud800"}], "table", stream)  # type: ignore[arg-type]
    stream.flush()
    shown = raw.getvalue().decode(encoding)
    assert ("é" in shown) == (encoding in ("latin-1", "utf-8", "cp1252"))
    assert "ud83d" in shown or "U0001f600" in shown or "😀" in shown


class Full(io.TextIOBase):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, _: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EBADF, errno.EIO])
def test_output_that_can_t_be_written_is_a_failure_and_words_are_not(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for and is not there is told; what is only said to a person may be lost."""
    with pytest.raises(OutputFailed) as failed:
        Guarded(Full(number), strict=True).write("x")  # type: ignore[arg-type]
    assert failed.value.quiet == (number == errno.EPIPE)
    monkeypatch.setattr(sys, "stderr", Guarded(Full(number), strict=False))  # type: ignore[arg-type]
    say(EVIL)
    console(sys.stderr).print("x")
    monkeypatch.setattr(sys, "stderr", Guarded(None, strict=False))
    say(EVIL)


def ended(line: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=LONG, check=False, cwd=ROOT,
        env=os.environ | {"X": f"{sys.executable} -m ingest"},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["config", "topology show --output json", "--help"])
@pytest.mark.parametrize(
    ("where", "words"),
    [("> /dev/full", "No space left"), (">&-", "Bad file descriptor"), ("| :", ""), ("2>&- > /dev/full", "")],
)
def test_every_command_says_what_it_could_not_print(command: str, where: str, words: str) -> None:
    """Exit code 1 and a sentence on a full device or a closed stream; nothing on a pipe whose reader has gone."""
    wait = "sleep 0.2 | " if where == "| :" else ""
    code, said = ended(f"set -o pipefail; {wait}$X {command} {where}")
    assert code in ((1,) if where != "| :" else (0, 1))
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert said.count("\n") == (1 if words else 0), said
    assert words in said


@pytest.mark.parametrize(
    "arguments", ["dead list --reason $'\\xff'", "dead discard --why $'\\xff'", "dead replay --as $'\\xff'",
                  "serve --listen $'\\xff'", "$'\\xff'", "dead list --since $'\\xff'", "scale $'\\xff'"]
)  # fmt: skip
def test_an_argument_that_is_no_text_is_wrong_usage(arguments: str) -> None:
    """Whatever bytes a shell can hand over: a sentence, and an exit code of ours."""
    code, said = ended(f"$X {arguments}")
    assert code in (1, 2, 78)
    assert "Traceback" not in said
    assert said


def test_a_locale_without_utf_8_takes_utf_8_all_the_same() -> None:
    """What a shell of the locale C hands over is what was typed."""
    code, said = ended(
        "LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 DATABASE_URL=postgresql://127.0.0.1:1/x "
        "$X dead list --organization 'Müller'"
    )
    assert code == 69, said


def logged(renderer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "log"
    with path.open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        before = structlog.get_config()
        logs.configure(Settings(log_format=renderer))
        yield path
        structlog.configure(**before)


@pytest.mark.parametrize("renderer", ["console", "json"])
def test_a_log_steers_no_terminal(renderer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any value of any event, a traceback's text too; in both forms one event stays what it is."""
    for path in logged(renderer, monkeypatch, tmp_path):
        structlog.get_logger().info("seen", node=EVIL, nested={"a": [EVIL]}, list=[EVIL])
        try:
            raise ValueError(EVIL)
        except ValueError:
            structlog.get_logger().exception("failed", node=EVIL)
        text = path.read_text()
    if renderer == "json":
        assert not steers(text, "\n")
        assert [json.loads(line)["node"] for line in text.splitlines()] == [EVIL] * 2
    else:
        assert not steers(text.replace("\x1b[", ""), "\n\t")
        assert "\x1b[2J" not in text
        assert "\x9b" not in text


def sinks(tmp_path: Path) -> Iterator[tuple[str, int, Callable[[], bytes] | None]]:
    """Descriptors that take nothing, or only so much; and what reads them, where somebody could."""
    for name, flags in (("/dev/full", os.O_WRONLY), (str(tmp_path / "read-only"), os.O_RDONLY | os.O_CREAT)):
        yield name, os.open(name, flags), None
    reader, writer = os.pipe()
    os.close(reader)
    yield "broken pipe", writer, None
    reader, writer = os.pipe()
    yield "full pipe", writer, lambda: os.read(reader, 1 << 20)
    ours, theirs = socket.socketpair()
    yield "full socket", theirs.detach(), lambda: ours.recv(1 << 22)
    master, slave = pty.openpty()
    yield "stopped terminal", slave, lambda: os.read(master, 1 << 20)
    yield "closed", 1000, None


def test_a_log_that_takes_nothing_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, closed, read-only, or a reader that sleeps: no line is waited for, and dropped ones are counted."""
    monkeypatch.setattr("ingest.telemetry.stream.PATIENCE_SECONDS", 0.01)
    line = b"x" * 999 + b"\n"
    for name, descriptor, read in sinks(tmp_path):
        stream = LogStream(descriptor)
        for _ in range(2000):
            stream.write(line)
        assert stream._dropped or name == "closed", name
        if read is not None:
            dropped, heard = stream._dropped, b""
            while b"log lines dropped" not in heard and len(heard) < 1 << 24:
                heard += read()
                stream.write(b"again\n")
            assert b'"lines": %d' % dropped in heard or b"log lines dropped" in heard, name


def test_a_log_of_an_ordinary_kind_is_complete(tmp_path: Path) -> None:
    """Files and pipes that are read get every line, whole and in order."""
    path = tmp_path / "log"
    with path.open("ab") as file:
        stream = LogStream(file.fileno())
        for number in range(1000):
            stream.write(b"%d\n" % number)
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(1000))


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_PLAIN | st.just({"é": EVIL}))
def test_json_for_strangers_is_ascii_and_says_the_same(value: object) -> None:
    """Lone surrogates, which have no UTF-8, and what steers a terminal are escapes, and read back as they were."""
    told = to_ascii(value)
    assert told.isascii()
    assert json.loads(told) == value
