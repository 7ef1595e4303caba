"""Each recipe in deploy/ is read by the tool that will read it."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import kubernetes_validate
import promql_parser
import pytest
import yaml
from jsonschema import Draft202012Validator
from operate_support import ROOT

from consumers.supervisor.metrics import Metrics, Surroundings
from consumers.supervisor.monitor import Monitor
from consumers.supervisor.pool import Pool
from ingest.access.gate import Gate
from ingest.access.unguarded import Unguarded
from ingest.console.entrance import check
from ingest.http.limits import Limits
from ingest.http.requests import Declined
from ingest.http.service import Service
from ingest.shim.metrics import ShimMetrics
from ingest.soak.ports import free_port
from ingest.soak.system import until
from ingest.spool.contents import Contents
from schemas.settings import ConfigError, Settings, load
from tests.patience import LONG

DEPLOY = ROOT / "deploy"
UNITS = [path for path in sorted((DEPLOY / "systemd").iterdir()) if path.suffix in (".service", ".target", ".timer")]
KUBERNETES = "1.33"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def run(*argv: str | Path, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | environ
    return subprocess.run([str(each) for each in argv], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def installed(program: str, package: str) -> str:
    """A program, installed by apt-get where it is missing."""
    if shutil.which(program) is None:
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        apt = [*root, "apt-get", "-o", "DPkg::Lock::Timeout=300"]
        run(*apt, "update", "-qq")
        run(*apt, "install", "--yes", "-qq", "--no-install-recommends", package, DEBIAN_FRONTEND="noninteractive")
    found = shutil.which(program)
    assert found, f"{program} is missing: apt-get install {package}"
    return found


def unpacked(package: str, path: str, folder: Path) -> Path:
    """A program out of a Debian package, without installing it: no service of its own is started."""
    found = shutil.which(Path(path).name)
    if found:
        return Path(found)
    got = run("apt-get", "download", package, cwd=folder)
    if got.returncode:
        run("apt-get", "update", "-qq")
        got = run("apt-get", "download", package, cwd=folder)
    assert got.returncode == 0, got.stderr
    (archive,) = folder.glob("*.deb")
    assert run("dpkg", "-x", archive, folder / "root").returncode == 0
    return folder / "root" / path


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of any unit; only the program's path is this machine's."""
    program = f"{sys.prefix}/bin/chef-ingest"
    for unit in UNITS:
        text = unit.read_text().replace("/opt/chef-ingest/bin/chef-ingest", program)
        (tmp_path / unit.name.replace("@", "@8080")).write_text(text.replace("%i", "8080"))
        (tmp_path / unit.name).write_text(text)
    named = [tmp_path / unit.name for unit in UNITS]
    found = run(installed("systemd-analyze", "systemd"), "verify", "--man=no", *named, SYSTEMD_UNIT_PATH=f"{tmp_path}:")
    ours = [line for line in (found.stdout + found.stderr).splitlines() if "chef-ingest" in line]
    assert found.returncode == 0, found.stderr
    assert not ours


def test_systemds_verdict_is_not_empty(tmp_path: Path) -> None:
    """The check above would find a misspelt directive."""
    unit = tmp_path / "bad.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nTypo=yes\n")
    found = run(installed("systemd-analyze", "systemd"), "verify", "--man=no", unit)
    assert "Typo" in found.stderr


@pytest.mark.parametrize("unit", [each for each in UNITS if each.suffix == ".service"], ids=lambda each: each.name)
def test_the_units_environment_is_settings(unit: Path) -> None:
    """Every variable that a unit or the example sets is a setting with a good value."""
    example = (DEPLOY / "systemd" / "environment.example").read_text()
    lines = [line for line in example.splitlines() if line and not line.startswith("#")]
    for line in unit.read_text().splitlines():
        if line.startswith("Environment="):
            lines += line.removeprefix("Environment=").split()
    load(dict(line.split("=", 1) for line in lines), read_secret=lambda _: "postgresql://somewhere/x")


def manifests() -> list[dict[str, Any]]:
    return [
        each for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for each in yaml.safe_load_all(file.read_text())
    ]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_kubernetes_takes_the_manifests(manifest: dict[str, Any]) -> None:
    """Strictly by Kubernetes' own schemas; KEDA's kinds by the part of theirs that we use."""
    if "keda.sh" in manifest["apiVersion"]:
        schemas = json.loads((ROOT / "tests/fixtures/keda.json").read_text())
        Draft202012Validator(schemas[manifest["kind"]]).validate(manifest)
        return
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_manifests_fit_together() -> None:
    """Commands exist, settings are settings, and what one manifest names another one has."""
    by_kind = {(each["kind"], each["metadata"]["name"]): each for each in manifests()}
    load(by_kind["ConfigMap", "chef-ingest"]["data"], read_secret=lambda _: "")
    for (kind, _), manifest in by_kind.items():
        if kind in ("Deployment", "Job"):
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            shown = run(sys.executable, "-m", "ingest", *container["args"][:1], "--help", cwd=ROOT)
            assert shown.returncode == 0
    scaled = by_kind["ScaledObject", "chef-ingest-consumers"]["spec"]
    assert ("Deployment", scaled["scaleTargetRef"]["name"]) in by_kind
    for trigger in scaled["triggers"]:
        assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in by_kind


def test_compose_takes_the_file() -> None:
    """`docker compose config` (or its older spelling, which Debian has) resolves it; every image is pinned."""
    argv = ["docker", "compose"]
    if shutil.which("docker") is None or run("docker", "compose", "version").returncode:
        argv = [installed("docker-compose", "docker-compose")]
    file = DEPLOY / "compose" / "compose.yaml"
    secrets = {"RABBITMQ_PASSWORD": "r", "POSTGRES_PASSWORD": "p"}
    found = run(*argv, "-f", file, "config", **secrets)
    assert found.returncode == 0, found.stderr
    services = yaml.safe_load(found.stdout)["services"]
    assert set(services) == {"rabbitmq", "postgres", "migrate", "consumers", "shim", "console"}
    assert re.fullmatch(r"rabbitmq:4\.\d+\.\d+-management", services["rabbitmq"]["image"])
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", services["postgres"]["image"])
    for name in ("migrate", "consumers", "shim", "console"):
        load(services[name]["environment"])
    refused = run(*argv, "-f", file, "config", RABBITMQ_PASSWORD="", POSTGRES_PASSWORD="p")
    assert refused.returncode != 0
    assert "set it in .env" in refused.stderr


def test_a_console_that_others_reach_is_deployed_with_tokens_and_tls() -> None:
    """As Kubernetes and Compose start it, it takes its settings; it would not start without either."""
    [pod] = [
        each["spec"]["template"]["spec"]
        for each in manifests()
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "chef-ingest-console"
    ]
    [container] = pod["containers"]
    maps = {each["metadata"]["name"]: each["data"] for each in manifests() if each["kind"] == "ConfigMap"}
    environ = {**maps["chef-ingest"], **{each["name"]: each["value"] for each in container["env"]}}
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]["console"]
    for given, arguments in ((environ, container["args"]), (compose["environment"], compose["command"])):
        assert arguments[:2] == ["console", "--listen"]
        known = {name: value for name, value in given.items() if name.startswith("INGEST_")}
        check(load(known | {"INGEST_CONSOLE_LISTEN": arguments[2]}).settings)
        for name in ("INGEST_TOKENS_FILE", "INGEST_TLS_CERTIFICATE"):
            lacking = {key: value for key, value in known.items() if key not in (name, "INGEST_TLS_KEY")}
            with pytest.raises(ConfigError):
                check(load(lacking | {"INGEST_CONSOLE_LISTEN": arguments[2]}).settings)


COLLECTORS = ("/data-collector/v0/", "/data-collector/v0", "/organizations/o/data-collector")
LARGE = b" " * (15 * 1024 * 1024)
"""A body that the data collector's door takes, and no other one."""


class Upstream(BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[bytes, bytes]]] = []

    def do_POST(self) -> None:
        self.seen.append({name.lower().encode(): value.encode() for name, value in self.headers.items()})
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(503 if "busy" in self.path else 201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def nginx(folder: Path, text: str) -> Iterator[None]:
    """nginx on a configuration of ours, checked by `nginx -t` first."""
    program = unpacked("nginx", "usr/sbin/nginx", folder)
    (folder / "site.conf").write_text(text)
    # A large body goes through a file, which its workers write.
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n"
        + "".join(
            f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"include {folder}/site.conf;\n}}\n"
    )
    argv = [program, "-p", folder, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    checked = run(*argv, "-t")
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    process = subprocess.Popen([str(each) for each in argv], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(LONG)


def post(url: str, body: bytes = b"{}") -> int:
    import ssl

    request = urllib.request.Request(url, data=body, method="POST")
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=LONG, context=context) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
    except OSError:
        return 0


@pytest.mark.parametrize("fail_open", [False, True])
def test_nginx_passes_requests_on_and_fails_open_if_chosen(tmp_path: Path, fail_open: bool) -> None:
    """Over TLS a POST reaches the shim; with every shim dead a run's start is answered 502 or, as chosen, 404; the
    shim's own 503 is passed on in both cases. A shim that asks nobody takes nothing from there."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    Thread(target=upstream.serve_forever, daemon=True).start()
    port, dead = free_port(), free_port()
    pem, key = tmp_path / "ingest.pem", tmp_path / "ingest.key"
    made = run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-keyout", key, "-out", pem,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    text = (DEPLOY / "nginx" / "chef-ingest.conf").read_text()
    for old, new in (
        ("/etc/nginx/tls/ingest.pem", str(pem)), ("/etc/nginx/tls/ingest.key", str(key)),
        ("listen 443", f"listen {port}"),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream.server_port}"), ("127.0.0.1:8081", f"127.0.0.1:{dead}"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    if fail_open:
        text, chosen = re.subn(r"# (error_page|proxy_intercept_errors)", r"\1", text)
        assert chosen == 2
    runs = f"https://127.0.0.1:{port}/organizations/o/reports/nodes/n/runs"
    with nginx(tmp_path, text):
        until(lambda: post(f"https://127.0.0.1:{port}/messages") == 201, "nginx passes a POST on")
        assert post(runs) == 201
        assert post(f"{runs}/busy") == 503
        for path in COLLECTORS:
            assert post(f"https://127.0.0.1:{port}{path}", LARGE) == 201
        assert Upstream.seen[-1][b"x-forwarded-for"] == b"127.0.0.1"
        with pytest.raises(Declined, match="proxied"):
            Unguarded(Settings()).check(Upstream.seen[-1])
        upstream.shutdown()
        upstream.server_close()
        assert post(runs) == (404 if fail_open else 502)
        assert post(f"https://127.0.0.1:{port}/messages") == 502
        for path in COLLECTORS:
            assert post(f"https://127.0.0.1:{port}{path}") == 502


def test_nginx_before_a_server_without_a_data_collector_sorts_its_clients_messages_out(tmp_path: Path) -> None:
    """As the page has it: reports and the collector's messages, large ones too, come here, and nothing else does."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    Thread(target=upstream.serve_forever, daemon=True).start()
    port = free_port()
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/how-to/chef-server.md").read_text(), re.DOTALL)
    upstreams, _, location = block.partition("# In the server block")
    served = location.partition("\n")[2]
    text = f"{upstreams}server {{ listen 127.0.0.1:{port};\n{served}\nlocation / {{ return 204; }} }}\n"
    url = f"http://127.0.0.1:{port}/organizations/ponyville"
    with nginx(tmp_path, text.replace("127.0.0.1:8080", f"127.0.0.1:{upstream.server_port}")):
        until(lambda: post(f"{url}/reports/nodes/web01/runs") == 201, "nginx passes a POST on")
        assert post(f"{url}/data-collector", LARGE) == 201
        assert post(f"{url}/data-collector/v0") == 204
        assert post(f"{url}/nodes/web01") == 204
    upstream.shutdown()
    upstream.server_close()


def metric_names() -> dict[str, set[str]]:
    """Sample name -> label names, of all that shim and supervisor can ever expose."""
    pool = Pool(lambda *_: [], 0, 1, 1.0)
    metrics, shim = Metrics("x"), ShimMetrics("x")
    monitor = Monitor(queues={"q": (1, 1)}, letters={"open": 1}, nodes={"started": 1})
    around = Surroundings(pool, lambda: monitor, lambda: True, {"hour": 1000, "all": 100_000})
    families = [*metrics.registry.collect(), *around.collect()]
    shim.answered("/messages", 201, 0.1)
    shim.watch(_Publisher(), Gate(None, None))  # type: ignore[arg-type]
    shim.watch_connections(Service(None, Limits.of(Settings()), lambda _: None))  # type: ignore[arg-type]
    shim.watch_spool(Contents, 0)
    families += shim.registry.collect()
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


class _Publisher:
    outstanding, connected, blocked_by_broker = 0, True, False


def check_query(expression: str) -> None:
    """It is PromQL, and every metric, label matched and label grouped by exists."""
    known = metric_names()
    plain = expression.replace("$__rate_interval", "1m")
    promql_parser.parse(plain)
    used = re.findall(r"chef_ingest_[a-z_]+", plain)
    assert used
    for name in used:
        assert name in known, f"{name} is exposed by nobody"
    for name, matchers in re.findall(r"(chef_ingest_[a-z_]+)\{([^}]*)\}", plain):
        for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in known[name], f"{name} has no label {label}"
    for group in re.findall(r"by \(([^)]*)\)", plain):
        for label in (each.strip() for each in group.split(",")):
            assert any(label in known[name] for name in used), f"no label {label}"


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("alert", alerts(), ids=lambda each: each["alert"])
def test_an_alert_asks_for_what_there_is_and_leads_to_its_page(alert: dict[str, Any]) -> None:
    """Its expression parses and names exposed metrics only; its runbook page exists and is about it."""
    check_query(alert["expr"])
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"]["severity"] in ("page", "ticket")
    base = '{{ or $externalLabels.runbooks "https://chef-ingest.example/runbooks" }}/'
    url = alert["annotations"]["runbook_url"]
    assert url.startswith(base), "the base is said once, and makes it a URL"
    text = (ROOT / "docs" / "runbooks" / url.removeprefix(base)).read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    for heading in ("## What it means", "## Find the cause", "## What to do"):
        assert heading in text


SHARED = ("chef_ingest_backlog_messages", "chef_ingest_consumers", "chef_ingest_letters")
"""What every supervisor sees alike."""


def queries() -> Iterator[tuple[str, str]]:
    """(what asks, PromQL), of alerts and dashboard."""
    yield from ((alert["alert"], alert["expr"]) for alert in alerts())
    for panel in json.loads((DEPLOY / "grafana" / "chef-ingest.json").read_text())["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", []))


def test_a_second_supervisor_doubles_no_figure_and_no_alert() -> None:
    """What both see of one broker and database is taken once: the most or the least, never the sum."""
    for asks, query in queries():
        for found in re.finditer("|".join(rf"{name}\b(?!_)" for name in SHARED), query):
            before = re.sub(r"\((?:delta)\($", "(", query[: found.start()])
            assert re.search(r"(max|min)( by \(\w+\))? ?\($", before), (asks, query)


def test_one_of_several_supervisors_gone_is_an_alert() -> None:
    """By the job's name in the scrape configuration that is recommended."""
    jobs = [
        job["job_name"] for job in yaml.safe_load((DEPLOY / "prometheus/scrape.yaml").read_text())["scrape_configs"]
    ]
    (gone,) = (each for each in alerts() if each["alert"] == "ChefIngestSupervisorGone")
    (job,) = re.findall(r'up\{job="([^"]+)"\} == 0', gone["expr"])
    assert job in jobs


def test_a_figure_of_the_dashboard_says_by_its_colour_whether_it_is_good() -> None:
    """Each has thresholds of its own."""
    panels = json.loads((DEPLOY / "grafana" / "chef-ingest.json").read_text())["panels"]
    bare = [
        each["title"]
        for each in panels
        if each["type"] == "stat" and "thresholds" not in each["fieldConfig"]["defaults"]
    ]
    assert bare == []


def test_every_runbook_page_has_its_alert_and_its_links_lead_somewhere() -> None:
    """No page without an alert, no link to nothing, no command that does not exist."""
    folder = ROOT / "docs" / "runbooks"
    pages = {page.stem for page in folder.glob("*.md")} - {"README"}
    assert pages == {each["alert"] for each in alerts()}
    from ingest.cli import main

    for page in folder.glob("*.md"):
        text = page.read_text()
        for link in re.findall(r"\]\(([^)]+)\)", text):
            assert (folder / link).is_file()
        for command in re.findall(r"`chef-ingest ([a-z]+)", text):
            assert command in main.commands, command


def test_the_dashboard_shows_what_there_is() -> None:
    """It is a Grafana dashboard: panels with their own ids that do not overlap, whose queries name exposed metrics."""
    dashboard = json.loads((DEPLOY / "grafana" / "chef-ingest.json").read_text())
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= set(dashboard)
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        taken |= cells
        for target in panel.get("targets", []):
            check_query(target["expr"])


HARDENED = (
    "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "LimitCORE=0",
    "SystemCallFilter=@system-service", "SystemCallArchitectures=native", "UMask=0077", "RestrictNamespaces=yes",
)  # fmt: skip


@pytest.mark.parametrize("unit", [each for each in UNITS if each.suffix == ".service"], ids=lambda each: each.name)
def test_every_unit_is_hardened_alike(unit: Path) -> None:
    """Migrations too; what a unit may take of the machine is bounded, and nothing of it is dumped."""
    lines = unit.read_text().splitlines()
    assert set(HARDENED) <= set(lines)
    assert any(line.startswith("MemoryMax=") for line in lines)


def test_no_recipe_opens_a_door_without_asking_who_is_there() -> None:
    """nginx passes the world on to the shims: each of them asks for a token, and no flag takes that away."""
    unit = (DEPLOY / "systemd" / "chef-ingest-shim@.service").read_text()
    assert "INGEST_AUTH=token INGEST_TOKENS_FILE=" in unit
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    shim = compose["shim"]
    assert shim["environment"]["INGEST_AUTH"] == "token"
    assert "--insecure-no-auth" not in shim["command"]
    assert all(compose[name]["init"] and compose[name]["mem_limit"] for name in ("migrate", "consumers", "shim"))
    (settings,) = (each["data"] for each in manifests() if each["kind"] == "ConfigMap")
    assert settings["INGEST_AUTH"] == "token"


def test_the_brokers_user_in_compose_administers_nothing() -> None:
    """RabbitMQ reads the file that takes the tag away, which the image would give to its first user."""
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    (mounted,) = (each for each in compose["rabbitmq"]["volumes"] if each.endswith(".conf:ro"))
    source, target, _ = mounted.split(":")
    assert target.startswith("/etc/rabbitmq/conf.d/")
    lines = (DEPLOY / "compose" / source).read_text().splitlines()
    assert [each for each in lines if each[:1] != "#"] == ["default_user_tags.administrator = false"]


def test_every_pod_has_a_network_policy_and_a_bound() -> None:
    """Of each component: who may reach it, and how much memory it may take."""
    made = manifests()
    policies = {each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in made
                if each["kind"] == "NetworkPolicy"}  # fmt: skip
    pods = [each["spec"]["template"] for each in made if each["kind"] in ("Deployment", "Job")]
    assert policies == {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert all(container["resources"]["limits"]["memory"] for pod in pods for container in pod["spec"]["containers"])


def test_the_image_is_made_of_what_is_locked() -> None:
    """Every file that goes into it has a hash, every version is the tested one, and everything needed is there."""
    locked = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    )
    text = (DEPLOY / "compose" / "requirements.txt").read_text()
    entries = re.findall(r"^([a-z0-9-]+)==(\S+) ((?:\\\n    --hash=sha256:[0-9a-f]{64} ?)+)", text, re.MULTILINE)
    assert len(entries) == text.count("==")
    for name, version, _ in entries:
        assert name in ("setuptools", "wheel") or locked[name] == version, name
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = setup["options"]["install_requires"] + setup["options.extras_require"]["console"]
    wanted = re.findall(r"^([a-z0-9-]+)", needed, re.MULTILINE)
    assert set(wanted) <= {name for name, _, _ in entries}
    recipe = (DEPLOY / "compose" / "Dockerfile").read_text()
    assert "--require-hashes" in recipe


def test_nothing_secret_goes_to_the_build() -> None:
    """All is ignored but what is named, and what is named holds no state folder, no .env, no history."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {"**/.local", "**/.env"} <= set(lines)
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert all((ROOT / each).exists() for each in kept)
    assert not {".git", ".local", ".", "deploy"} & set(kept)
