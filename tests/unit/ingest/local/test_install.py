"""Finding the servers' programs, and the one message when they are missing."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ingest.local import install
from ingest.local.install import Places, ServersMissing, apt_install, ensure, find

NOWHERE = Places(postgres=(), rabbitmq=(), erlang=())
SCRIPT = Path(install.__file__).with_name("install.sh")


def touch(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def refuse(packages: Sequence[str], environ: Mapping[str, str], say: install.Say) -> None:
    raise ServersMissing("I may not")


def test_both_missing_and_no_right_to_install_is_one_message() -> None:
    """One refusal names every missing server, the exact install command and every variable that helps."""
    with pytest.raises(ServersMissing) as caught:
        ensure(postgres=True, rabbitmq=True, environ={}, say=print, install=refuse, places=NOWHERE)
    message = str(caught.value)
    assert "I may not" in message
    assert "apt-get install --no-install-recommends postgresql rabbitmq-server" in message
    assert all(name in message for name in ("AMQP_URL", "DATABASE_URL", "PG_BIN", "RABBITMQ_HOME"))


def test_only_what_is_missing_and_needed_is_asked_for() -> None:
    """A half whose URL is given is neither looked for nor installed."""
    with pytest.raises(ServersMissing) as caught:
        ensure(postgres=True, rabbitmq=False, environ={}, say=print, install=refuse, places=NOWHERE)
    assert "postgresql" in str(caught.value)
    assert "rabbitmq" not in str(caught.value).lower()
    ensure(postgres=False, rabbitmq=False, environ={}, say=print, install=refuse, places=NOWHERE)


def test_what_was_installed_is_found(tmp_path: Path) -> None:
    """After an installation the programs are looked for again."""
    places = Places(postgres=(str(tmp_path),), rabbitmq=(), erlang=())

    def put(packages: Sequence[str], environ: Mapping[str, str], say: install.Say) -> None:
        assert packages == ["postgresql"]
        touch(tmp_path / "15/bin/postgres")
        touch(tmp_path / "15/bin/initdb")

    programs = ensure(postgres=True, rabbitmq=False, environ={}, say=print, install=put, places=places)
    assert programs.postgres == tmp_path / "15/bin"


def test_an_installation_without_effect_is_said() -> None:
    """Packages that install without bringing the programs are an error, not a crash later."""
    with pytest.raises(ServersMissing, match="yet they are not found"):
        ensure(postgres=True, rabbitmq=False, environ={}, say=print, install=lambda *_: None, places=NOWHERE)


def test_the_newest_postgres_is_taken_and_pg_bin_overrules(tmp_path: Path) -> None:
    """Versions compare as numbers (15 is newer than 9.6), and PG_BIN alone decides when it is set."""
    for version in ("9.6", "15"):
        touch(tmp_path / version / "bin/postgres")
        touch(tmp_path / version / "bin/initdb")
    places = Places(postgres=(str(tmp_path),), rabbitmq=(), erlang=())
    assert find({}, places).postgres == tmp_path / "15/bin"
    assert find({"PG_BIN": str(tmp_path / "9.6/bin")}, places).postgres == tmp_path / "9.6/bin"
    assert find({"PG_BIN": "/no/such/folder"}, places).postgres is None


def test_debians_wrapper_is_not_taken_for_rabbitmqs_script(tmp_path: Path) -> None:
    """A rabbitmq-server without rabbitmq-env beside it (the wrapper that changes users) is passed over."""
    touch(tmp_path / "sbin/rabbitmq-server")
    environ = {"PATH": str(tmp_path / "sbin")}
    assert find(environ, NOWHERE).rabbitmq is None
    touch(tmp_path / "home/sbin/rabbitmq-server")
    touch(tmp_path / "home/sbin/rabbitmq-env")
    found = find({**environ, "RABBITMQ_HOME": str(tmp_path / "home")}, NOWHERE).rabbitmq
    assert found == tmp_path / "home/sbin"


def test_without_apt_get_the_refusal_says_so() -> None:
    """A machine that has no apt-get is told that, not left with a missing command's traceback."""
    with pytest.raises(ServersMissing, match="no apt-get"):
        apt_install(["postgresql"], {"PATH": "/no/such/folder"}, print)


@pytest.fixture
def fake_root(tmp_path: Path) -> Path:
    """A root folder, and an apt-get that notes what it found in it."""
    touch(
        tmp_path / "bin/apt-get",
        f"""#!/bin/sh
echo "$@" >>{tmp_path}/calls
sh {tmp_path}/usr/sbin/policy-rc.d; echo "policy $?" >>{tmp_path}/calls
cat {tmp_path}/etc/postgresql-common/createcluster.conf >>{tmp_path}/calls
case "$*" in *broken*) exit 100 ;; esac
""",
    )
    touch(tmp_path / "bin/systemctl", f'#!/bin/sh\necho "systemctl $@" >>{tmp_path}/calls\n')
    return tmp_path


def run_script(root: Path, *packages: str) -> int:
    environ = {"ROOT": str(root), "PATH": f"{root}/bin:{os.environ['PATH']}"}
    done = subprocess.run(["/bin/sh", str(SCRIPT), *packages], env=environ, check=False, capture_output=True)
    return done.returncode


@pytest.mark.parametrize(("package", "status"), [("postgresql", 0), ("broken", 100)])
def test_services_are_kept_from_starting_and_the_machine_is_left_as_it_was(
    fake_root: Path, package: str, status: int
) -> None:
    """During the installation no service may start and no cluster is made; afterwards, even after a failure,
    both prohibitions are gone."""
    assert run_script(fake_root, package) == status
    calls = (fake_root / "calls").read_text()
    assert f"install --yes --no-install-recommends {package}" in calls
    assert "policy 101" in calls
    assert "create_main_cluster = false" in calls
    assert not (fake_root / "usr/sbin/policy-rc.d").exists()
    assert not (fake_root / "etc/postgresql-common/createcluster.conf").exists()


def test_the_administrators_own_policy_stays(fake_root: Path) -> None:
    """Files that an administrator has put in these places are used as they are and left alone."""
    policy = touch(fake_root / "usr/sbin/policy-rc.d", "exit 104\n")
    clusters = touch(fake_root / "etc/postgresql-common/createcluster.conf", "# mine\n")
    assert run_script(fake_root, "postgresql") == 0
    assert "policy 104" in (fake_root / "calls").read_text()
    assert (policy.read_text(), clusters.read_text()) == ("exit 104\n", "# mine\n")
    assert stat.S_IMODE(policy.stat().st_mode) == 0o755
