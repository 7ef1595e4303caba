"""`up` where the shim asks who is there: it gets ready all the same, and demonstrates or says why it can't."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from operate_support import command, environment
from throwaway_ca import ThrowawayCA

from ingest.access import tokens
from tests.patience import LONG, PATIENT

ALL = "actions,runs,read"


@pytest.fixture
def env(amqp_url: str, database_url: str, tmp_path: Path) -> dict[str, str]:
    """Of `up` on servers that are there; a proxy that nobody runs stands in the way of whoever asks it."""
    proxy = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    return environment(amqp_url, database_url, tmp_path / "state", consumers=1) | proxy | PATIENT


@contextmanager
def up(env: dict[str, str], *options: str, cwd: Path | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process once it says that it is ready, and its URL; ended by Ctrl-C, with exit 0."""
    argv = [sys.executable, "-m", "ingest", "up", *options]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True, cwd=cwd) as process:
        assert process.stdout is not None
        try:
            ready = re.fullmatch(r"ready (https?://127\.0\.0\.1:[0-9]+)\n", process.stdout.readline())
            assert ready is not None
            yield process, ready[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(LONG) == 0


def token(folder: Path, scopes: str = ALL) -> tuple[str, dict[str, str]]:
    """A fresh secret, and the settings that make the shim take it."""
    secret, line = tokens.new("demo", scopes)
    (folder / "tokens").write_text(f"{line}\n")
    return secret, {"INGEST_AUTH": "token", "INGEST_TOKENS_FILE": str(folder / "tokens")}


def served(ca: ThrowawayCA) -> dict[str, str]:
    pair = ca.issue("server", "127.0.0.1")
    return {"INGEST_TLS_CERTIFICATE": str(pair.certificate), "INGEST_TLS_KEY": str(pair.key)}


def test_the_demonstration_shows_its_token(
    env: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With tokens asked for, over TLS, every answer is the right one; the shim asks everybody else. Files that are
    named by relative paths, in variables and in the settings' file, are those of the folder where it was typed.
    With --logs it is here that the children log."""
    secret, guarded = token(tmp_path)
    (tmp_path / "secret").write_text(f"{secret}\n")
    guarded |= served(ThrowawayCA(tmp_path, "ca")) | {"INGEST_DEMO_TOKEN_FILE": str(tmp_path / "secret")}
    guarded = {name: value.removeprefix(f"{tmp_path}/") for name, value in guarded.items()}
    (tmp_path / "settings.toml").write_text(f'tokens_file = "{guarded.pop("INGEST_TOKENS_FILE")}"\n')
    guarded["INGEST_CONFIG"] = "settings.toml"
    with up(env | guarded, "--demo", "--logs", cwd=tmp_path) as (process, url):
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while lines[-1] and "listening at" not in lines[-1]:
            lines.append(process.stdout.readline())
        output = "".join(lines)
        answered = re.findall(r"^  ([0-9]{3})  ", output, re.MULTILINE)
        assert answered == ["201", "200", "201", "200", "201", "201", "201", "400", "200"]
        assert secret not in output
        page = process.stdout.readline().rpartition(" ")[2].strip()
        with httpx.Client(verify=False, trust_env=False) as http:
            assert "Overview" in http.get(page).text, "the operator's page"
            assert http.get(f"{url}/actions/b576b4a2-7b2a-43b8-b385-d6281e9a139e").status_code == 401
    assert "batch committed" in capfd.readouterr().err
    assert not list((tmp_path / "state" / "logs").glob("consumers*"))
    absolute = {"INGEST_CONFIG": "", "INGEST_DEMO_TOKEN_FILE": str(tmp_path / "secret")}
    shown = command("config", env=env | guarded | absolute)
    assert secret not in shown.stdout
    assert "***" in shown.stdout


def test_the_demonstration_says_at_once_what_it_lacks(env: dict[str, str], tmp_path: Path) -> None:
    """Without a token that may do everything, with signatures or with client certificates asked for: exit 78, one
    line that names the variable, and nothing has been started."""
    secret, guarded = token(tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "few").mkdir()
    (tmp_path / "one").mkdir()
    reader, few = token(tmp_path / "few", "read")
    held, one = token(tmp_path / "one", f"{ALL},organization=ponyville")
    ca = ThrowawayCA(tmp_path, "ca")
    for settings, words in (
        (guarded, "INGEST_DEMO_TOKEN is not set"),
        (guarded | {"INGEST_DEMO_TOKEN": secret + "x"}, "in no line of INGEST_TOKENS_FILE"),
        (few | {"INGEST_DEMO_TOKEN": reader}, "(demo) may not do all"),
        (one | {"INGEST_DEMO_TOKEN": held}, "(demo) may not do all"),
        ({"INGEST_AUTH": "signature", "INGEST_CLIENT_KEYS": str(tmp_path / "keys")}, "INGEST_AUTH is signature"),
        (served(ca) | {"INGEST_TLS_CLIENT_CA": str(ca.file)}, "INGEST_TLS_CLIENT_CA"),
    ):
        done = command("up", "--demo", env=env | settings)
        assert done.returncode == 78
        (line,) = done.stderr.splitlines()
        assert words in line
        assert "--demo" in line
        assert secret not in line
        assert done.stdout == ""
        assert not Path(env["INGEST_STATE"]).exists()


def test_it_gets_ready_where_client_certificates_are_asked_for(env: dict[str, str], tmp_path: Path) -> None:
    """`ready` comes though nobody without a certificate is answered, and then one with a certificate is served."""
    ca = ThrowawayCA(tmp_path, "ca")
    ours = ca.issue("client")
    with up(env | served(ca) | {"INGEST_TLS_CLIENT_CA": str(ca.file)}) as (_, url):
        context = ssl.create_default_context(cafile=str(ca.file))
        with httpx.Client(verify=context, trust_env=False) as nobody, pytest.raises(httpx.TransportError):
            nobody.get(f"{url}/healthz")
        context.load_cert_chain(ours.certificate, ours.key)
        with httpx.Client(verify=context, trust_env=False) as http:
            assert http.get(f"{url}/readyz").status_code == 200


def test_a_server_that_the_shell_still_names_is_told_as_the_cause(env: dict[str, str]) -> None:
    """Of a stack that is gone, say: exit 69, what to unset, and nothing says that it was stopped."""
    done = command("up", env=env | {"DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/x"})
    assert (done.returncode, done.stdout) == (69, "")
    cause = "DATABASE_URL comes from the environment: `unset DATABASE_URL`, and the local stack starts one of its own"
    assert done.stderr.endswith(f"chef-ingest: {cause}\n")
    assert "s3cret" not in done.stderr
    assert "stopped" not in done.stderr


@pytest.mark.parametrize("argv", [("consume", "--metrics", "0.0.0.0:0"), ("up",)])
def test_metrics_beyond_this_machine_are_a_choice(env: dict[str, str], argv: tuple[str, ...]) -> None:
    """`consume` and `up` refuse to show metrics to everybody, with exit 78 and before anything is started."""
    for listen in ("0.0.0.0:0", "[::]:9108", "10.1.2.3:9108"):
        done = command(*argv[:2], *(argv[2:] and [listen]), env=env | {"INGEST_METRICS_LISTEN": listen})
        assert done.returncode == 78
        (line,) = done.stderr.splitlines()
        assert f"INGEST_METRICS_LISTEN: {listen} can be reached from other machines" in line
        assert "--insecure-no-auth" in line
    assert not Path(env["INGEST_STATE"]).exists()
