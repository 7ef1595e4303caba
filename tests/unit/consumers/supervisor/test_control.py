"""The control socket and the folder that it lies in."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from consumers.supervisor.control import ControlError, ControlSocket, ask, state_folder
from tests.patience import LONG


def test_a_control_socket_answers_in_a_folder_of_any_depth(tmp_path: Path) -> None:
    """A path longer than the kernel allows works, rubbish is answered with an error, a second listener is refused,
    and the socket of one that died is taken over."""
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    control = ControlSocket(folder)
    served = threading.Thread(target=serve, args=(control, 3))
    served.start()
    assert ask(folder, {"verb": "hello"}) == {"heard": "hello"}
    with pytest.raises(ControlError, match="not understood"):
        ask(folder, [])  # type: ignore[arg-type]
    with pytest.raises(ControlError, match="no such"):
        ask(folder, {"verb": "no"})
    served.join(LONG)
    assert control.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ControlError, match="another supervisor"):
        ControlSocket(folder)
    control._listener.close()
    ControlSocket(folder).close()
    with pytest.raises(ControlError, match="no supervisor answers"):
        ask(folder, {})


def serve(control: ControlSocket, times: int) -> None:
    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"error": "no such"} if request["verb"] == "no" else {"heard": request["verb"]}

    answered = 0
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while answered < times:
            selector.select(10)
            before = len(control._callers)
            control.serve(answer)
            answered += max(0, before - len(control._callers))


def test_a_state_folder_is_found_where_it_is_likely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given wins, then INGEST_STATE, then `.local` where there is one, then the machine's."""
    monkeypatch.chdir(tmp_path)
    assert state_folder(Path("x"), {"INGEST_STATE": "y"}) == Path("x")
    assert state_folder(None, {"INGEST_STATE": "y"}) == Path("y")
    assert state_folder(None, {}) == Path("/run/chef-ingest")
    (tmp_path / ".local").mkdir()
    assert state_folder(None, {}) == Path(".local")
