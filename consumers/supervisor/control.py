"""The socket by which a running supervisor is asked and told: one JSON object a line, one answer each."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

SOCKET: Final = "supervisor.sock"
RUN_FOLDER: Final = Path("/run/chef-ingest")
"""Where a production supervisor's socket is; systemd makes it (RuntimeDirectory=chef-ingest)."""
LOCAL_FOLDER: Final = Path(".local")

_LONGEST: Final = 1 << 20
_PATIENCE_SECONDS: Final = 2.0

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


class ControlSocket:
    """Listens in a folder. Raises ControlError when another supervisor does, or the folder can't be used."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SOCKET
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _short(folder) as short:
                self._take(short)
        except OSError as error:
            raise ControlError(f"{self.path}: {error.strerror or error}: name another folder by --state") from error

    def fileno(self) -> int:
        """For a selector."""
        return self._listener.fileno()

    def serve(self, answer: Answerer) -> None:
        """Answer whoever is waiting. A caller that dawdles is dropped after two seconds."""
        with contextlib.suppress(OSError):
            caller, _ = self._listener.accept()
            with caller:
                caller.settimeout(_PATIENCE_SECONDS)
                caller.sendall(json.dumps(_answered(answer, _line(caller))).encode() + b"\n")

    def close(self) -> None:
        self._listener.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

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


def ask(folder: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """A running supervisor's answer. Raises ControlError."""
    try:
        with _short(folder) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(10)
            line.connect(short)
            line.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(_line(line))
    except (OSError, ValueError) as error:
        where = folder / SOCKET
        raise ControlError(
            f"no supervisor answers at {where} ({error}): start one with `chef-ingest consume`, or name its folder "
            "by --state or INGEST_STATE"
        ) from error
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return dict(answer)


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
