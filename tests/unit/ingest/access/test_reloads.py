"""Every part of the gate is reloaded by itself: what was taken away is out, whatever is wrong with any other file."""

from __future__ import annotations

import errno
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signed_requests import new_key
from throwaway_ca import Pair, ThrowawayCA

from ingest.access import tokens
from ingest.access.gate import Gate
from ingest.access.keys import KeyFolder, KeysUnavailable
from schemas.settings import ConfigError, Settings
from tests.patience import LONG

PEM = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Door:
    """A gate with every part, and the files it reads."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.other = ThrowawayCA(folder, "ca"), ThrowawayCA(folder, "other")
        pair = self.ca.issue("server", "localhost")
        self.client, self.stranger = self.ca.issue("client"), self.other.issue("stranger")
        self.kept = tokens.new("kept", "actions")
        self.gone = tokens.new("gone", "actions")
        self.tokens = folder / "tokens"
        self.keys = folder / "keys"
        self.cas = folder / "cas"
        self.pair = pair
        self.keys.mkdir()
        self.tokens.write_text(f"{self.kept[1]}\n{self.gone[1]}\n")
        self.cas.write_bytes(self.ca.file.read_bytes() + self.other.file.read_bytes())
        self.settings = Settings(
            auth="any", tokens_file=str(self.tokens), client_keys=str(self.keys), tls_client_ca=str(self.cas),
            tls_certificate=str(pair.certificate), tls_key=str(pair.key),
        )  # fmt: skip
        self.gate = Gate.from_settings(self.settings)

    def knows(self, token: tuple[str, str]) -> bool | None:
        """None: that can't be told."""
        assert self.gate.guard is not None
        known = self.gate.guard._tokens
        return None if known is None else tokens.find(known, token[0].encode()) is not None

    def admits(self, pair: Pair | None, **client: Any) -> bool:
        assert self.gate.tls is not None
        return shakes_hands(self.gate.tls.context, self.ca, pair, **client)


def shakes_hands(server: ssl.SSLContext, ca: ThrowawayCA, pair: Pair | None, newest: int | None = None) -> bool:
    """Whether a client with this certificate is let in, and a byte comes through to it."""
    context = ssl.create_default_context(cafile=str(ca.file))
    if newest is not None:
        context.maximum_version = ssl.TLSVersion(newest)
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(4):
            for end in (ours, theirs):
                _tried(end.do_handshake)
        theirs.write(b"x")
        return bool(ours.read(1) == b"x")
    except ssl.SSLError:
        return False


def _tried(step: Callable[[], object]) -> None:
    try:
        step()
    except ssl.SSLWantReadError:
        return


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def _removed(path: Path) -> None:
    path.unlink()


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _garbled(path: Path) -> None:
    path.write_bytes(b"\xff\x00 no such thing\n")


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BREAKS = (_removed, _emptied, _folder, _garbled, _dangling, _circle, _pipe)


@pytest.mark.parametrize("spoil", BREAKS)
def test_a_tokens_file_without_a_token_denies_all(door: Door, spoil: Callable[[Path], None]) -> None:
    """Whatever became of the file, a token that is not in it is out."""
    spoil(door.tokens)
    door.gate.reload()
    assert door.knows(door.kept) is False
    assert ("tokens" in door.gate.faults) == (spoil is not _emptied)


@pytest.mark.parametrize("other", ["certificate", "key", "cas", "keys"])
@pytest.mark.parametrize("spoil", BREAKS)
def test_a_token_taken_away_is_out_whatever_else_is_broken(
    door: Door, other: str, spoil: Callable[[Path], None]
) -> None:
    """A certificate, a CA or a folder of keys that can't be read keeps no token alive; the rest go on."""
    path = {"certificate": door.pair.certificate, "key": door.pair.key, "cas": door.cas, "keys": door.keys}[other]
    if path is door.keys:
        path.rmdir()
        path.write_bytes(b"")
    spoil(path)
    door.tokens.write_text(door.kept[1])
    door.gate.reload()
    assert (door.knows(door.gone), door.knows(door.kept)) == (False, True)
    if not (other == "keys" and spoil is _folder):
        assert door.gate.faults.keys() == {
            "tls_client_ca" if other == "cas" else "keys" if other == "keys" else "tls_certificate"
        }


def test_a_faulty_line_takes_no_other_along(door: Door) -> None:
    """A slip in one line lets nobody in by it; those of good lines come in, those taken away do not."""
    door.tokens.write_text(f"gone {door.gone[0]} actions\n{door.kept[1]}\nslip")
    door.gate.reload()
    assert (door.knows(door.gone), door.knows(door.kept)) == (False, True)
    assert len(door.gate.faults["tokens"]) == 2
    assert door.gone[0] not in str(door.gate.faults)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_what_can_t_be_told_is_neither_yes_nor_no(
    door: Door, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No token is believed while its file can't be read, none refused for good, and all come back by themselves."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _raising(number))
        door.gate.reload()
        assert door.knows(door.kept) is None
        assert not door.admits(door.client)
        assert {"tokens", "tls_client_ca"} <= door.gate.faults.keys()
    door.gate.retry()
    assert door.knows(door.kept)
    assert door.admits(door.client)
    assert not door.gate.faults


def _raising(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("spoil", BREAKS)
@pytest.mark.parametrize("part", ["certificate", "key"])
def test_a_certificate_that_can_t_be_used_leaves_the_old_one(
    door: Door, part: str, spoil: Callable[[Path], None]
) -> None:
    """Our own name is no right of anybody's: we go on under it, with the client CAs as they are now."""
    spoil(getattr(door.pair, part))
    door.cas.write_bytes(door.other.file.read_bytes())
    door.gate.reload()
    assert door.gate.faults.keys() == {"tls_certificate"}
    assert door.admits(door.stranger)
    assert not door.admits(door.client)
    assert not door.admits(None)


@pytest.mark.parametrize("spoil", BREAKS)
def test_a_client_ca_that_is_gone_lets_nobody_in(door: Door, spoil: Callable[[Path], None]) -> None:
    """Certificates are still asked for, and none is good."""
    assert door.admits(door.client)
    spoil(door.cas)
    door.gate.reload()
    assert "tls_client_ca" in door.gate.faults
    assert not door.admits(door.client)
    assert not door.admits(None)


def test_a_faulty_certificate_takes_no_other_ca_along(door: Door) -> None:
    """Of a file of CAs the good ones count."""
    broken = door.other.file.read_bytes().replace(b"M", b"?")
    door.cas.write_bytes(broken + door.ca.file.read_bytes())
    door.gate.reload()
    assert "tls_client_ca" in door.gate.faults
    assert door.admits(door.client)
    assert not door.admits(door.stranger)


def test_where_client_certificates_guard_only_tls_1_3_is_spoken(door: Door, tmp_path: Path) -> None:
    """TLS 1.2 would resume a session without any certificate, of a CA withdrawn since."""
    assert door.admits(door.client, newest=ssl.TLSVersion.TLSv1_3)
    assert not door.admits(door.client, newest=ssl.TLSVersion.TLSv1_2)
    files = {"tls_certificate": str(door.pair.certificate), "tls_key": str(door.pair.key)}
    open_door = Gate.from_settings(Settings(**files))
    assert open_door.tls is not None
    assert shakes_hands(open_door.tls.context, door.ca, None, newest=ssl.TLSVersion.TLSv1_2)


def test_a_check_finds_what_a_reload_would(door: Door) -> None:
    """`serve --check` is what `systemctl reload` ends with: all faults at once, of any part."""
    Gate.from_settings(door.settings)
    _removed(door.pair.key)
    _garbled(door.cas)
    _removed(door.tokens)
    with pytest.raises(ConfigError) as caught:
        Gate.from_settings(door.settings)
    text = str(caught.value)
    assert all(word in text for word in ("INGEST_TLS_KEY", "INGEST_TLS_CLIENT_CA", "INGEST_TOKENS_FILE"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "web1.pem").write_bytes(new_key().public_key().public_bytes(*PEM))
    return tmp_path


@pytest.mark.parametrize("step", ["stat", "read_bytes"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOMEM])
def test_a_key_that_can_t_be_read_now_is_not_no_key(
    folder: Path, number: int, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what was read is kept: once it can be read, the client comes in without a restart."""
    keys = KeyFolder(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, step, _raising(number))
        for _ in range(2):
            with pytest.raises(KeysUnavailable):
                keys.find("acme", "web1")
    assert keys.find("acme", "web1")


@pytest.mark.parametrize("spoil", [each for each in BREAKS if each is not _folder])
def test_a_folder_of_keys_that_is_none_is_told_and_comes_back_by_itself(
    door: Door, spoil: Callable[[Path], None]
) -> None:
    """Its clients are neither let in nor told that they have no key; tokens and certificates are as they were."""
    pem = new_key().public_key().public_bytes(*PEM)
    (door.keys / "web1.pem").write_bytes(pem)
    assert door.gate.guard is not None
    keys = door.gate.guard._keys
    assert keys is not None
    assert keys.find(None, "web1")
    (door.keys / "web1.pem").unlink()
    door.keys.rmdir()
    door.keys.write_bytes(b"")
    spoil(door.keys)
    door.gate.reload()
    assert door.gate.faults.keys() == {"keys"}
    with pytest.raises(KeysUnavailable):
        keys.find(None, "web1")
    assert (door.knows(door.kept), door.admits(door.client)) == (True, True)
    door.keys.unlink(missing_ok=True)
    door.keys.mkdir()
    (door.keys / "web1.pem").write_bytes(pem)
    door.gate.retry()
    assert keys.find(None, "web1")
    assert not door.gate.faults


def test_a_folder_of_keys_that_is_gone_refuses_nobody_for_good(tmp_path: Path) -> None:
    """An unmounted folder is no answer to who has a key."""
    keys = KeyFolder(tmp_path / "unmounted")
    assert keys.fault() is not None
    with pytest.raises(KeysUnavailable):
        keys.find("acme", "web1")


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_short_key_is_no_key(tmp_path: Path, bits: int, capsys: pytest.CaptureFixture[str]) -> None:
    """RSA below 2048 bits signs for whoever has factored it."""
    (tmp_path / "short.pem").write_bytes(new_key(bits).public_key().public_bytes(*PEM))
    assert KeyFolder(tmp_path).find(None, "short") == ()
    assert "too short" in capsys.readouterr().out


def test_a_reload_names_the_keys_that_are_too_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the doctor's words, which file and how many bits; a good key, and what is none, are not named."""
    keys = tmp_path / "acme"
    keys.mkdir()
    for name, bits in (("old", 1024), ("new", 2048)):
        (keys / f"{name}.pem").write_bytes(new_key(bits).public_key().public_bytes(*PEM))
    (keys / "none.pem").write_text("none")
    gate = Gate.from_settings(Settings(auth="signature", client_keys=str(tmp_path)))
    gate.reload()
    for thread in threading.enumerate():
        if thread.name == "short keys":
            thread.join(LONG)
    said = capsys.readouterr().out
    assert "acme/old.pem (1024 bits)" in said
    assert "knife client key create" in said
    assert "new.pem" not in said
    assert "none.pem" not in said


def test_a_key_exchanged_with_its_old_time_is_seen(folder: Path) -> None:
    """A copy may bring the time and the size of what it replaces along."""
    path, keys = folder / "acme" / "web1.pem", KeyFolder(folder)
    before, status = keys.find("acme", "web1"), path.stat()
    path.write_bytes(new_key().public_key().public_bytes(*PEM))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    found = keys.find("acme", "web1")
    assert [each.public_numbers() for each in found] != [each.public_numbers() for each in before]
    assert (len(found), len(before)) == (1, 1)


def test_a_pipe_in_the_folder_of_keys_holds_nobody_up(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would stop the whole shim."""
    os.mkfifo(tmp_path / "pipe.pem")
    assert KeyFolder(tmp_path).find(None, "pipe") == ()
