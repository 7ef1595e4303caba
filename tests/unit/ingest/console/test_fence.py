"""What stands before the console: names, sites, forms, headers, tokens. Real HTTP; no server is behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from console_support import console, machine

from ingest.access import tokens
from ingest.console.entrance import SESSION_SECONDS, Entrance, NotLetIn
from schemas.settings import ConfigError

PROXY = "https://ingest.example.com"
COOKIE = "__Host-chef-ingest"
OWN = {"sec-fetch-site": "same-origin", "origin": "null"}
"""What a browser says of a form of a page without a referrer."""


@pytest.fixture(scope="module")
def open_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """On loopback, where nobody is asked."""
    with console(machine(tmp_path_factory.mktemp("state"))) as client:
        yield client


class Closed:
    """A console that asks for tokens; `file` is the tokens file, `secrets` are its tokens."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tokens"
        self.secrets: dict[str, str] = {}
        scopes = {"looker": "look", "operator": "look,operate", "node": "runs", "acme": "look,organization=acme"}
        self.lines = {}
        for name, scope in scopes.items():
            self.secrets[name], self.lines[name] = tokens.new(name, scope)
        self.write(*scopes)
        self.machine = machine(folder, console_url=PROXY, tokens_file=str(self.file))
        self.http: httpx.Client

    def write(self, *names: str) -> None:
        self.file.write_text("\n".join(self.lines[name] for name in names))

    def form(self, path: str = "/login", cookie: str = "") -> str:
        """The token in a page's form."""
        page = self.http.get(path, headers={"cookie": cookie} if cookie else {}).text
        return re.findall(r'name="form" value="([0-9a-f]+)"', page)[0]

    def login(self, secret: str, to: str = "/") -> httpx.Response:
        return self.http.post("/login", data={"form": self.form(), "token": secret, "to": to}, headers=OWN)

    def cookie(self, name: str) -> str:
        """The session of a token, as a browser sends it."""
        answer = self.login(self.secrets[name])
        assert answer.status_code == 303, answer.text
        return answer.headers["set-cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    made = Closed(tmp_path_factory.mktemp("state"))
    with console(made.machine) as client:
        # No jar: what a browser would send, a test says.
        client.cookies.jar.set_policy(RefuseAll())
        made.http = client
        yield made


class RefuseAll:
    """A jar that keeps nothing."""

    netscape = True
    rfc2965 = hide_cookie2 = False

    def set_ok(self, *_: object) -> bool:
        return False

    def return_ok(self, *_: object) -> bool:
        return False

    def domain_return_ok(self, *_: object) -> bool:
        return False

    def path_return_ok(self, *_: object) -> bool:
        return False


PAGES = ("/", "/health", "/no-such-page", "/static/console.css", "/static/none.css", "/login")


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_tells_the_browser_what_it_may_do(open_console: httpx.Client, path: str) -> None:
    """Nothing from elsewhere, nothing inline, in nobody's frame, kept nowhere, told to nobody."""
    headers = open_console.get(path).headers
    policy = dict(each.strip().partition(" ")[::2] for each in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_no_page_has_script_or_style_within(open_console: httpx.Client) -> None:
    """The policy would keep it from running, and say so in the browser's console."""
    for path in PAGES:
        page = open_console.get(path).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert set(re.findall(r"<script[^>]*>", page)) <= {'<script src="/static/console.js" defer>'}


HOSTS = ("127.0.0.1", "localhost", "localhost:9000", "x.localhost", "[::1]:8090", "127.9.9.9")
FOREIGN = (
    "evil.example.com",
    "127.0.0.1.evil.example.com",
    "192.0.2.7",
    "console",
    "",
    "localhost.evil.example",
    "[::",
)


@pytest.mark.parametrize("host", HOSTS)
def test_where_nobody_is_asked_this_machine_has_its_own_names(open_console: httpx.Client, host: str) -> None:
    """And ports: a tunnel ends at another one."""
    assert open_console.get("/static/console.css", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_where_nobody_is_asked_another_name_is_refused(open_console: httpx.Client, host: str) -> None:
    """A page under a name that a stranger lets lead here would read letters as its own."""
    answer = open_console.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "INGEST_CONSOLE_URL" in answer.text


@pytest.mark.parametrize("field", ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"])
def test_where_nobody_is_asked_nothing_comes_by_a_proxy(open_console: httpx.Client, field: str) -> None:
    """A proxy on this machine would let the world in, as somebody of this machine."""
    answer = open_console.get("/", headers={field: "for=192.0.2.7"})
    assert answer.status_code == 403
    assert "INGEST_CONSOLE_URL" in answer.text


def test_other_sites_may_link_here_and_load_nothing(open_console: httpx.Client) -> None:
    """A link is followed; a picture, a script or a fetch of another site is none of our pages."""
    for site in ("cross-site", "same-site"):
        link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
        assert open_console.get("/", headers=link).status_code == 200
        for mode in ("no-cors", "cors", "websocket"):
            answer = open_console.get("/", headers={"sec-fetch-site": site, "sec-fetch-mode": mode})
            assert answer.status_code == 403


STRANGERS = (
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example.com"},
    {"sec-fetch-site": "cross-site", "origin": PROXY},
    {"sec-fetch-site": "same-site", "origin": PROXY},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example.com"},
    {"origin": "https://evil.example.com"},
    {"origin": "null"},
    {},
)


@pytest.mark.parametrize("said", STRANGERS, ids=str)
@pytest.mark.parametrize("path", ["/login", "/logout", "/", "/letters/1"])
def test_nothing_is_changed_by_another_sites_form(closed: Closed, said: dict[str, str], path: str) -> None:
    """Not even with the form's own token and a session."""
    cookie = closed.cookie("operator")
    form = {"form": closed.form("/login", cookie), "token": closed.secrets["operator"]}
    answer = closed.http.post(path, data=form, headers=said | {"cookie": cookie})
    assert answer.status_code == 403
    assert "nothing was done" in answer.text
    assert closed.http.get("/", headers={"cookie": cookie}).status_code == 200


@pytest.mark.parametrize("said", [OWN, {"origin": PROXY}, {"sec-fetch-site": "same-origin", "origin": PROXY}], ids=str)
def test_a_form_of_ours_is_taken_from_every_browser(closed: Closed, said: dict[str, str]) -> None:
    """Of those that say a site, an origin, or that hide it since we want no referrer."""
    form = {"form": closed.form(), "token": closed.secrets["looker"]}
    assert closed.http.post("/login", data=form, headers=said).status_code == 303


@pytest.mark.parametrize("token", ["", "0" * 64, "none"])
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_no_form_is_taken_without_the_token_of_its_session(closed: Closed, path: str, token: str) -> None:
    """Neither without one, nor with one made up, nor with one of another session."""
    cookie = closed.cookie("operator")
    for each in (token, closed.form()):
        answer = closed.http.post(path, data={"form": each}, headers=OWN | {"cookie": cookie})
        assert answer.status_code == 403
    assert closed.http.get("/", headers={"cookie": cookie}).status_code == 200


def test_a_form_is_small_and_plain(closed: Closed) -> None:
    """What is longer, no text or the same field twice is no form of ours."""
    for body, status in ((b"x" * 70_000, 413), (b"form=%ff", 400), (b"form=a&form=b", 400), (b"\xff", 400)):
        assert closed.http.post("/login", content=body, headers=OWN).status_code == status


def test_nobody_without_a_session_sees_anything(closed: Closed) -> None:
    """Pages lead to the login, with where one wanted to go; the live numbers and changes are 401."""
    answer = closed.http.get("/letters?state=open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?to=%2Fletters%3Fstate%3Dopen")
    assert closed.http.get("/live").status_code == 401
    assert closed.http.post("/logout", headers=OWN).status_code == 401
    assert closed.http.get("/static/console.css").status_code == 200


def test_a_token_is_exchanged_for_a_cookie_that_only_the_browser_sees(closed: Closed) -> None:
    """For this host and TLS only, no script's, no other site's, for twelve hours."""
    answer = closed.login(closed.secrets["looker"], "/letters?state=open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/letters?state=open")
    said = {each.strip().lower() for each in answer.headers["set-cookie"].split(";")[1:]}
    assert said == {"httponly", "secure", "samesite=strict", "path=/", f"max-age={SESSION_SECONDS}"}
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=")
    assert closed.secrets["looker"] not in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "to", ["//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "/\t/evil.com"]
)
def test_a_login_leads_nowhere_else(closed: Closed, to: str) -> None:
    """Whatever the link to it says."""
    place = closed.login(closed.secrets["looker"], to).headers["location"]
    assert place.startswith("/")
    assert not place.startswith(("//", "/\\", "/\t"))


def test_a_token_for_something_else_opens_nothing(closed: Closed) -> None:
    """It is said why, and the token is nowhere in the page."""
    words = {"node": "scope look", "acme": "some organizations", "none": "no such token"}
    for name, word in words.items():
        secret = closed.secrets.get(name, "z" * 43)
        answer = closed.login(secret)
        assert answer.status_code == 401
        assert word in answer.text
        assert secret not in answer.text
        assert "set-cookie" not in answer.headers


def test_who_may_look_only_changes_nothing(closed: Closed) -> None:
    """Neither the page that asks nor the form itself; who may operate is asked."""
    wanted = "/workers/confirm?verb=pause&queue=all&host=all&why=x"
    for name, status in (("looker", 403), ("operator", 200)):
        cookie = closed.cookie(name)
        assert closed.http.get(wanted, headers={"cookie": cookie}).status_code == status
    cookie = closed.cookie("looker")
    form = {"form": closed.form("/workers", cookie), "verb": "pause", "queue": "all", "host": "all", "why": "x"}
    answer = closed.http.post("/workers", data=form, headers=OWN | {"cookie": cookie})
    assert (answer.status_code, "scope operate" in answer.text) == (403, True)
    assert "Pause…" not in closed.http.get("/workers", headers={"cookie": cookie}).text


def test_a_session_ends_when_its_tokens_line_goes(closed: Closed) -> None:
    """At once; a new token of the same name is another one; its scopes are those of the line now."""
    cookie = closed.cookie("operator")
    kept = closed.lines["operator"]
    try:
        closed.write("looker")
        assert closed.http.get("/", headers={"cookie": cookie}).status_code == 303
        closed.lines["operator"] = tokens.new("operator", "look,operate")[1]
        closed.write("looker", "operator")
        assert closed.http.get("/", headers={"cookie": cookie}).status_code == 303
        closed.file.unlink()
        assert closed.http.get("/", headers={"cookie": cookie}).status_code == 303
    finally:
        closed.lines["operator"] = kept
        closed.write(*closed.lines)
    assert closed.http.get("/", headers={"cookie": cookie}).status_code == 200


def test_a_session_ends_with_its_logout(closed: Closed) -> None:
    """For whoever kept the cookie too."""
    cookie = closed.cookie("looker")
    form = {"form": closed.form("/", cookie)}
    answer = closed.http.post("/logout", data=form, headers=OWN | {"cookie": cookie})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert closed.http.get("/", headers={"cookie": cookie}).status_code == 303


def test_a_session_lasts_twelve_hours(tmp_path: Path) -> None:
    """And not a second longer."""
    closed, now = Closed(tmp_path), [1_000_000.0]
    entrance = Entrance(closed.machine.settings, lambda: now[0])
    cookie = entrance.begin(closed.secrets["looker"])
    now[0] += 12 * 3600 - 1
    assert entrance.operator(cookie) == ("looker", {"look"})
    now[0] += 1
    assert entrance.operator(cookie) is None


@pytest.mark.parametrize("cookie", ["", ".", "a.b", "é.é", "e30=.0", "." + "0" * 64])
def test_what_is_no_cookie_of_ours_is_nobody(tmp_path: Path, cookie: str) -> None:
    """Nor is one of another console, or changed by a character."""
    closed = Closed(tmp_path)
    entrance, other = Entrance(closed.machine.settings), Entrance(closed.machine.settings)
    good = entrance.begin(closed.secrets["operator"])
    assert entrance.operator(good) == ("operator", {"look", "operate"})
    for each in (cookie, other.begin(closed.secrets["operator"]), "A" + good[1:], good[:-1]):
        assert entrance.operator(each) is None


def test_tokens_that_cannot_be_read_let_nobody_in(tmp_path: Path) -> None:
    """Which is said."""
    closed = Closed(tmp_path)
    entrance = Entrance(closed.machine.settings)
    closed.file.unlink()
    closed.file.mkdir()
    with pytest.raises(NotLetIn):
        entrance.begin(closed.secrets["operator"])


EXPOSED = (
    ({"console_listen": "0.0.0.0:8090"}, ("INGEST_TOKENS_FILE", "INGEST_TLS_CERTIFICATE", "be overheard")),
    ({"console_listen": "192.0.2.7:8090", "tokens_file": "t"}, ("INGEST_TLS_CERTIFICATE",)),
    ({"console_listen": "[::]:8090", "tls_certificate": "c", "tls_key": "k"}, ("INGEST_TOKENS_FILE",)),
    ({"console_url": PROXY}, ("INGEST_TOKENS_FILE", "look,operate")),
    ({"console_listen": "0.0.0.0:8090", "console_url": PROXY, "tokens_file": "t"}, ("INGEST_TLS_CERTIFICATE",)),
)


@pytest.mark.parametrize(("settings", "words"), EXPOSED, ids=str)
def test_it_does_not_start_where_anybody_could_look_or_listen(
    tmp_path: Path, settings: dict[str, str], words: tuple[str, ...]
) -> None:
    """It says which settings would make it good."""
    with pytest.raises(ConfigError) as told:
        Entrance(machine(tmp_path, **settings).settings)
    assert all(word in str(told.value) for word in words)
