"""The socket by which a running supervisor is asked and told: one JSON object a line, one answer each."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

SOCKET: Final = "supervisor.sock"
RUN_FOLDER: Final = Path("/run/chef-ingest")
"""Where a production supervisor's socket is; systemd makes it (RuntimeDirectory=chef-ingest)."""
LOCAL_FOLDER: Final = Path(".local")

ANSWER_SECONDS: Final = 10.0

_LONGEST: Final = 1 << 20
_PATIENCE_SECONDS: Final = 2.0
_MOST_CALLERS: Final = 32

Answerer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class ControlError(Exception):
    """No supervisor can be reached, or it refused; the message says what to do."""


def state_folder(given: Path | None, environ: Mapping[str, str]) -> Path:
    """Where the socket is: what is given, or INGEST_STATE; else `.local` where there is one, as `up` makes it;
    else, for root and where it exists, /run/chef-ingest; else the user's runtime folder."""
    if given is not None:
        return given
    if environ.get("INGEST_STATE"):
        return Path(environ["INGEST_STATE"])
    if LOCAL_FOLDER.is_dir():
        return LOCAL_FOLDER
    if os.geteuid() == 0 or RUN_FOLDER.is_dir() or "XDG_RUNTIME_DIR" not in environ:
        return RUN_FOLDER
    return Path(environ["XDG_RUNTIME_DIR"]) / "chef-ingest"


class NoSupervisor(ControlError):
    """Nobody listens there."""


class ControlSocket:
    """Listens in a folder. Raises ControlError when another supervisor does, or the folder can't be used.

    Callers are served as they come, as far as each has got; none is waited for. `clock` counts seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = folder / SOCKET
        self._clock = clock
        self._callers: list[Caller] = []
        self._selector = selectors.EpollSelector()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _short(folder) as short:
                self._take(short)
        except (OSError, ControlError) as error:
            self._selector.close()
            if isinstance(error, ControlError):
                raise
            raise ControlError(f"{self.path}: {error.strerror or error}: name another folder by --state") from error
        self._selector.register(self._listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """For a selector: readable when a caller is, or a new one waits."""
        return self._selector.fileno()

    def serve(self, answer: Answerer) -> None:
        """Go on with whoever has said or taken something since."""
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._accept()
            elif not key.data.go_on(answer, self._selector):
                self._drop(key.data)
        self.drop_dawdlers()

    def drop_dawdlers(self) -> None:
        """A caller that is not done after two seconds is dropped, and the oldest of too many."""
        now = self._clock()
        for caller in list(self._callers):
            if now - caller.since > _PATIENCE_SECONDS or len(self._callers) > _MOST_CALLERS:
                self._drop(caller)

    def close(self) -> None:
        for caller in list(self._callers):
            self._drop(caller)
        self._selector.close()
        self._listener.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            line, _ = self._listener.accept()
            line.setblocking(False)
            caller = Caller(line, self._clock())
            self._callers.append(caller)
            self._selector.register(line, selectors.EVENT_READ, caller)

    def _drop(self, caller: Caller) -> None:
        self._callers.remove(caller)
        self._selector.unregister(caller.line)
        caller.line.close()

    def _take(self, short: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(short) == 0:
                self._listener.close()
                raise ControlError(f"{self.path}: another supervisor listens here: name another folder by --state")
        # Nobody listens: what lies there was left by one that was killed.
        Path(short).unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._listener.bind(short)
        finally:
            os.umask(mask)
        self._listener.listen(16)


class Caller:
    """One caller at the supervisor's socket: what it has said so far, and what it has not taken yet."""

    def __init__(self, line: socket.socket, since: float) -> None:
        self.line = line
        self.since = since
        self._said = bytearray()
        self._owed: bytes | None = None

    def go_on(self, answer: Answerer, selector: selectors.BaseSelector) -> bool:
        """Take what it says, give what it takes; False once it is done or gone."""
        try:
            if self._owed is None:
                piece = self.line.recv(65536)
                self._said += piece
                if piece and not self._said.endswith(b"\n") and len(self._said) < _LONGEST:
                    return True
                self._owed = json.dumps(_answered(answer, bytes(self._said))).encode() + b"\n"
            self._owed = self._owed[self.line.send(self._owed) :]
            if self._owed:
                selector.modify(self.line, selectors.EVENT_WRITE, self)
        except BlockingIOError:
            if self._owed:
                selector.modify(self.line, selectors.EVENT_WRITE, self)
            return True
        except OSError:
            return False
        return bool(self._owed)


def ask(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """A running supervisor's answer. Raises ControlError: none is there, or it is there and does not answer."""
    where, pid = folder / SOCKET, 0
    try:
        with _short(folder) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(ANSWER_SECONDS)
            line.connect(short)
            pid = _listener(line)
            if _stopped(pid):
                raise ControlError(_silent(where, pid, f"it was stopped: `kill -CONT {pid}` lets it go on"))
            line.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_line(line))
    except TimeoutError:
        # It has as many callers as it takes, or does not hear the one that we are.
        why = f"for {ANSWER_SECONDS:g} s: stopped, frozen, or starved by its machine? `ps -o pid,stat,wchan` tells"
        raise ControlError(_silent(where, pid, why)) from None
    except (OSError, ValueError) as error:
        raise NoSupervisor(
            f"no supervisor answers at {where} ({error}): start one with `chef-ingest consume`, or name its folder "
            "by --state or INGEST_STATE"
        ) from error
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return dict(answer)


def _silent(where: Path, pid: int, why: str) -> str:
    who = f"process {pid}, {where}" if pid else str(where)
    return f"a supervisor is there, and does not answer ({who}): {why}"


def _listener(line: socket.socket) -> int:
    """Whose socket it is [unix(7), SO_PEERCRED: pid, uid, gid]."""
    pid: int = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
    return pid


def _stopped(pid: int) -> bool:
    """Whether SIGSTOP, a terminal's Ctrl-Z or a debugger holds that process [proc(5), stat]."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "tT"
    except OSError:
        return False


def _answered(answer: Answerer, line: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("not an object")
        return answer(request)
    except (ValueError, RecursionError) as error:
        return {"error": f"not understood: {error}"}


def _line(peer: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n") and len(received) < _LONGEST:
        piece = peer.recv(65536)
        if not piece:
            break
        received += piece
    return bytes(received)


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """The socket's path in a form that is never too long for the kernel (108 bytes)."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
